"""TransposedConvolutional: filters that enlarge an image, also called deconvolution."""

import math

import numpy as np

from cnnx import kernels
from cnnx._util.arrays import array_with_slack
from cnnx._util.foreign_names import LAYER_KEYWORDS
from cnnx._util.hints import explained
from cnnx._util.validation import checked_size
from cnnx._util.windows import check_image, checked_padding, on_sides, pair, window_over
from cnnx.layers.weighted import WeightedLayer


class TransposedConvolutional(WeightedLayer):
    """Enlarge an image: each pixel adds its filters, times itself, to a window of the output.

    y[p sh + r, q sw + s, f] += x[p, q, c] weights[r, s, f, c], where p, q run over the pixels of the input, r, s over
    the kernel, c over the channels, and (sh, sw) is the stride; then bias[f] is added everywhere. This is what
    `Convolutional` does in its backward pass, and its backward pass is a convolution.

    Shape: (N, H, W, C) -> (N, P, Q, num_filters). Rows, and likewise columns, with the sizes of Keras:
    'same': P = H stride; 'valid': P = H stride + max(kernel - stride, 0); a number n of pixels, as in PyTorch:
    P = (H - 1) stride + kernel - 2 n. weights: (kernel_height, kernel_width, num_filters, C); bias: (num_filters,).
    Gradient: dweights[r, s, f, c] = sum of dy[p sh + r, q sw + s, f] x[p, q, c]; dbias = sum of dy;
    dx[p, q, c] = sum over r, s, f of dy[p sh + r, q sw + s, f] weights[r, s, f, c].

    Source: Dumoulin and Visin, "A guide to convolution arithmetic for deep learning", 2016, chapter 4.

    Args:
        num_filters: how many filters, and so channels of the output.
        kernel_size, stride: a whole number, or a pair (height, width), in pixels; the image grows by the stride. A
            kernel that is a multiple of the stride covers all pixels of the output equally often.
        padding: 'valid', 'same', or a number of pixels, or a pair (height, width): what is cut off at each side.
        input_shape: (H, W, C); needed where it cannot be inferred from the layer before.
        kernel_initializer: as for `Convolutional`; its number of inputs is kernel_height kernel_width num_filters, as
            in Keras and PyTorch.
        l2, use_bias: as for `Convolutional`.

    Raises:
        ValueError: an argument is none of these; or the padding leaves nothing.
    """

    @explained(LAYER_KEYWORDS)
    def __init__(
        self,
        num_filters,
        kernel_size,
        *,
        stride=1,
        padding='valid',
        input_shape=None,
        kernel_initializer='he_normal',
        l2=0.0,
        use_bias=True,
    ):
        super().__init__(kernel_initializer, input_shape, l2, use_bias)
        self.num_filters = checked_size(num_filters, 'num_filters')
        self.kernel_size = pair(kernel_size, 'kernel_size')
        self.stride = pair(stride, 'stride')
        self.padding = checked_padding(padding, numbers=True)

    @property
    def multiply_adds(self):
        return math.prod(self.input_shape[:2]) * self.parameters[0].value.size

    def output_shape(self, input_shape):
        check_image(input_shape)
        return (*self._output_size(input_shape), self.num_filters)

    def build(self, input_shape):
        # Of the convolution that makes the input out of the output.
        self.window, _ = window_over(self._output_size(input_shape), self.kernel_size, self.stride, self.padding)
        shape = (*self.kernel_size, self.num_filters, input_shape[2])
        self.add_parameter('weights', shape, self.kernel_initializer)
        self.add_bias(self.num_filters)

    def forward(self, x, training=False):
        x = self.check_input(x)
        y = self.empty('y', (len(x), *self.shape))
        self._saved = (x,)
        kernels.current().convolution_backward_input(self.weights, x, y, self.window, self._threads(x))
        if self.use_bias:
            # By lines of an image: NumPy takes long over a few channels at a time.
            y.reshape(-1, y.shape[2] * y.shape[3])[...] += np.tile(self.bias, y.shape[2])
        return y

    def backward(self, dy):
        dy = self.check_gradient(dy)
        (x,) = self._saved
        weights, threads = self.parameters[0], self._threads(x)
        # Kernels compute a bias too, one for each channel of the input: there is none.
        no_bias = array_with_slack(x.shape[3:], self.dtype)
        if self.trainable:
            kernels.current().convolution_backward_weights(
                dy, x, weights.grad, np.empty_like(no_bias), self.window, threads
            )
            if self.use_bias:
                self.parameters[1].grad = dy.sum(axis=(1, 2)).sum(axis=0)
        dx = self.empty('dx', x.shape)
        kernels.current().convolution_forward(dy, weights.value, no_bias, dx, self.window, threads)
        return dx

    def _output_size(self, input_shape):
        sizes = []
        windows = self.kernel_size, self.stride, on_sides(self.padding)
        for size, kernel, step, pad in zip(input_shape, *windows, strict=False):
            if self.padding == 'same':
                sizes.append(size * step)
            elif self.padding == 'valid':
                sizes.append(size * step + max(kernel - step, 0))
            else:
                sizes.append((size - 1) * step + kernel - 2 * pad)
        if min(sizes) < 1:
            raise ValueError(
                f'padding: {self.padding} leaves nothing of an input of {input_shape[0]} x {input_shape[1]}'
            )
        return tuple(sizes)

    def _threads(self, x):
        return kernels.threads_for(len(x) * self.multiply_adds)
