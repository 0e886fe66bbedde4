"""Pooling: the largest number or the mean of windows, channel by channel."""

import numpy as np

from cnnx import kernels
from cnnx._util.foreign_names import LAYER_KEYWORDS
from cnnx._util.hints import explained
from cnnx._util.validation import MAX_SIZE
from cnnx._util.windows import Window, check_image, checked_padding, pair, window_over
from cnnx.layers.base import Layer


class Pooling(Layer):
    """A window that slides over an image and makes one number of what it covers, channel by channel."""

    @explained(LAYER_KEYWORDS)
    def __init__(self, pool_size, *, stride=None, padding='valid', input_shape=None):
        super().__init__(input_shape)
        self.pool_size = pair(pool_size, 'pool_size')
        self.stride = self.pool_size if stride is None else pair(stride, 'stride')
        self.padding = checked_padding(padding)

    @property
    def pads(self):
        """Whether a window reaches over the edges of the image."""
        axes = zip(self.input_shape[:2], self.shape[:2], self.pool_size, self.stride, strict=True)
        beyond = any((count - 1) * step + extent > size for size, count, extent, step in axes)
        return beyond or self.window.pad_top > 0 or self.window.pad_left > 0

    def output_shape(self, input_shape):
        check_image(input_shape)
        height, width = self.pool_size
        if height * width > MAX_SIZE:
            raise ValueError(f'pool_size: expected at most {MAX_SIZE} pixels, got {height} x {width}')
        _, positions = window_over(input_shape[:2], self.pool_size, self.stride, self.padding)
        return (*positions, input_shape[2])

    def build(self, input_shape):
        self.window, _ = window_over(input_shape[:2], self.pool_size, self.stride, self.padding)


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
        ValueError: an argument is none of these; or the window is larger than the input and padding is 'valid'.
    """

    def forward(self, x, training=False):
        x = self.check_input(x)
        shape = (len(x), *self.shape)
        y, argmax = self.empty('y', shape), self.empty('argmax', shape, np.int32)
        self._saved = (argmax,)
        kernels.current().maxpool_forward(x, y, argmax, self.window, kernels.threads_for(x.size))
        return y

    def backward(self, dy):
        dy = self.check_gradient(dy)
        (argmax,) = self._saved
        dx = self.empty('dx', (len(dy), *self.input_shape))
        kernels.current().maxpool_backward(dy, argmax, dx, self.window, kernels.threads_for(dx.size))
        return dx


class AveragePooling(Pooling):
    """Take the mean of each window, channel by channel.

    Shape: as for `MaxPooling`. Gradient: each pixel of a window gets dy / the number of its pixels; where
    windows overlap, gradients add. Padding does not count: a window is averaged over its pixels in the image.

    Args:
        pool_size, stride, padding, input_shape: as for `MaxPooling`.

    Raises:
        ValueError: as for `MaxPooling`.
    """

    def forward(self, x, training=False):
        x = self.check_input(x)
        y = self.empty('y', (len(x), *self.shape))
        self._saved = (x,)
        kernels.current().averagepool_forward(x, y, self.window, kernels.threads_for(x.size))
        return y

    def backward(self, dy):
        dy = self.check_gradient(dy)
        dx = self.empty('dx', (len(dy), *self.input_shape))
        kernels.current().averagepool_backward(dy, dx, self.window, kernels.threads_for(dx.size))
        return dx


class GlobalAveragePooling(Layer):
    """Take the mean of each channel over the whole image.

    Shape: (N, H, W, C) -> (N, C). Gradient: dx = dy / (H W) at every pixel.

    Source: Lin et al., "Network in network", 2014, section 3.2.
    """

    def output_shape(self, input_shape):
        check_image(input_shape)
        return input_shape[2:]

    def build(self, input_shape):
        self.window = Window(*input_shape[:2])

    def forward(self, x, training=False):
        x = self.check_input(x)
        y = self.empty('y', (len(x), *self.shape))
        self._saved = (x,)
        images = y.reshape(len(y), 1, 1, *self.shape)
        kernels.current().averagepool_forward(x, images, self.window, kernels.threads_for(x.size))
        return y

    def backward(self, dy):
        dy = self.check_gradient(dy)
        dx = self.empty('dx', (len(dy), *self.input_shape))
        images = dy.reshape(len(dy), 1, 1, *self.shape)
        kernels.current().averagepool_backward(images, dx, self.window, kernels.threads_for(dx.size))
        return dx
