import numpy as np

from cnnx import kernels
from cnnx._util.validation import MAX_SIZE
from cnnx._util.windows import Window, checked_padding, pair, window_over
from cnnx.layers.base import Layer


def check_image(input_shape):
    """Raise a ValueError unless a sample's shape is (H, W, C)."""
    if len(input_shape) != 3:
        raise ValueError(f'expected input (height, width, channels), got {input_shape}')


class Pooling(Layer):
    """A window that slides over an image and makes one number of what it covers, channel by channel."""

    def __init__(self, pool_size, stride=None, padding='valid', input_shape=None):
        super().__init__(input_shape)
        self.pool_size = pair(pool_size, 'pool_size')
        self.stride = self.pool_size if stride is None else pair(stride, 'stride')
        self.padding = checked_padding(padding)

    @property
    def pads(self):
        """Whether a window reaches over the edges of the image."""
        axes = zip(self.input_shape[:2], self.output_shape[:2], self.pool_size, self.stride, strict=True)
        beyond = any((count - 1) * step + extent > size for size, count, extent, step in axes)
        return beyond or self._window.pad_top > 0 or self._window.pad_left > 0

    def settings(self):
        return {'pool_size': self.pool_size, 'stride': self.stride, 'padding': self.padding}

    def _output_shape(self, input_shape):
        check_image(input_shape)
        height, width = self.pool_size
        if height * width > MAX_SIZE:
            raise ValueError(f'pool_size: expected at most {MAX_SIZE} pixels, got {height} x {width}')
        self._window, positions = window_over(input_shape[:2], self.pool_size, self.stride, self.padding)
        return (*positions, input_shape[2])


class MaxPooling(Pooling):
    """Keep the largest number of each window, channel by channel.

    Shape: (N, H, W, C) -> (N, P, Q, C), with P, Q after `cnnx._util.windows.window_over`.
    Gradient: passes to the position of the maximum alone; where windows overlap, gradients add. The first
    maximum in row-major order wins a tie, and a NaN wins over every number. Padding is never the maximum.

    Args:
        pool_size: a whole number, or a pair (height, width), in pixels.
        stride: likewise; by default the pool size, so that windows touch and do not overlap.
        padding: 'valid' or 'same'.
        input_shape: (H, W, C); needed where it cannot be inferred from the layer before.

    Raises:
        ValueError: an argument is none of these; or, when built, the window is larger than the input and
            padding is 'valid'.
    """

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


class Averaging(Layer):
    """Means over the windows of `_window`; what AveragePooling and GlobalAveragePooling share."""

    def compute(self, x, training, empty):
        y = empty('y', (len(x), *self.output_shape), self.dtype)
        self._saved = (x,)
        kernels.current().averagepool_forward(x, self._as_images(y), self._window, kernels.threads_for(x.size))
        return y

    def compute_gradient(self, dy, empty, input_gradient=True):
        if not input_gradient:
            return None
        dx = empty('dx', (len(dy), *self.input_shape), self.dtype)
        kernels.current().averagepool_backward(self._as_images(dy), dx, self._window, kernels.threads_for(dx.size))
        return dx

    def _as_images(self, outputs):
        return outputs


class AveragePooling(Averaging, Pooling):
    """Take the mean of each window, channel by channel.

    Shape: as for `MaxPooling`. Gradient: each pixel of a window gets dy / the number of its pixels; where
    windows overlap, gradients add. Padding does not count: a window is averaged over its pixels in the image.

    Args:
        pool_size, stride, padding, input_shape: as for `MaxPooling`.

    Raises:
        ValueError: as for `MaxPooling`.
    """


class GlobalAveragePooling(Averaging):
    """Take the mean of each channel over the whole image.

    Shape: (N, H, W, C) -> (N, C). Gradient: dx = dy / (H W) at every pixel.

    Source: Lin et al., "Network in network", 2014, section 3.2.
    """

    def _output_shape(self, input_shape):
        check_image(input_shape)
        self._window = Window(*input_shape[:2])
        return input_shape[2:]

    def _as_images(self, outputs):
        return outputs.reshape(len(outputs), 1, 1, *self.output_shape)
