import numpy as np

from cnnx import kernels
from cnnx.geometry import pair, window_over
from cnnx.layers.base import Layer


class MaxPooling(Layer):
    """Keep the largest number of each window, channel by channel.

    Shape: (N, H, W, C) -> (N, P, Q, C), P = floor((H - pool_height) / stride_height) + 1, Q likewise.
    Gradient: passes to the position of the maximum alone; where windows overlap, gradients add. The first
    maximum in row-major order wins a tie, and a NaN wins over every number.

    Args:
        pool_size: a whole number, or a pair (height, width), in pixels.
        stride: likewise; by default the pool size, so that windows touch and do not overlap.
        input_shape: (H, W, C); needed where it cannot be inferred from the layer before.

    Raises:
        ValueError: an argument is none of these; or, when built, the window is larger than the input.
    """

    def __init__(self, pool_size, stride=None, input_shape=None):
        super().__init__(input_shape)
        self.pool_size = pair(pool_size, 'pool_size')
        self.stride = self.pool_size if stride is None else pair(stride, 'stride')

    def settings(self):
        return {'pool_size': self.pool_size, 'stride': self.stride}

    def _output_shape(self, input_shape):
        if len(input_shape) != 3:
            raise ValueError(f'expected input (height, width, channels), got {input_shape}')
        self._window, positions = window_over(input_shape[:2], self.pool_size, self.stride)
        return (*positions, input_shape[2])

    def compute(self, x, training, empty):
        shape = (len(x), *self.output_shape)
        y, argmax = empty('y', shape, self.dtype), empty('argmax', shape, np.int32)
        self._saved = (argmax,)
        kernels.current().maxpool_forward(x, y, argmax, self._window, kernels.threads_for(x.size))
        return y

    def compute_gradient(self, dy, empty, input_gradient=True):
        if not input_gradient:
            return None
        (argmax,) = self._saved
        dx = empty('dx', (len(dy), *self.input_shape), self.dtype)
        kernels.current().maxpool_backward(dy, argmax, dx, self._window, kernels.threads_for(dx.size))
        return dx
