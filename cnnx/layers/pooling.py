"""Pooling: the largest number or the mean of windows, channel by channel."""

import math

import numpy as np

from cnnx import kernels
from cnnx._util.foreign_names import LAYER_KEYWORDS
from cnnx._util.hints import explained
from cnnx._util.validation import MAX_SIZE, true_or_false
from cnnx._util.windows import Window, as_images, check_image, checked_sides, on_sides, pair, window_over
from cnnx.layers.base import Layer


class Pooling(Layer):
    """A window that slides over an image and makes one number of what it covers, channel by channel."""

    @explained(LAYER_KEYWORDS)
    def __init__(self, pool_size, *, stride=None, padding='valid', input_shape=None, dilation=1, ceil_mode=False):
        super().__init__(input_shape)
        self.pool_size = pair(pool_size, 'pool_size')
        self.stride = self.pool_size if stride is None else pair(stride, 'stride')
        self.padding = checked_sides(padding)
        self.dilation = pair(dilation, 'dilation')
        self.ceil_mode = true_or_false(ceil_mode, 'ceil_mode')

    @property
    def is_plain(self):
        """Whether the pixels of a window are neighbours: blocks compute no others."""
        return self.dilation == (1, 1)

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
        window, positions = self._places(input_shape)
        axes = zip(input_shape, positions, window[:2], window[2:4], window[4:6], window[6:8], strict=False)
        for size, count, reads, step, before, apart in axes:
            if before > apart * (reads - 1) or (count - 1) * step - before >= size:
                raise ValueError(f'padding: {self.padding} leaves windows without a pixel of the image')
        return (*positions, input_shape[2])

    def build(self, input_shape):
        self.window, positions = self._places(input_shape)
        if self.dilation != (1, 1):
            self._spread = Spread(input_shape, self.window, positions)

    def settings(self):
        defaults = {'dilation': (1, 1), 'ceil_mode': False, 'count_include_pad': False}
        return {key: value for key, value in super().settings().items() if defaults.get(key) != value}

    def _places(self, input_shape):
        return window_over(input_shape[:2], self.pool_size, self.stride, self.padding, self.dilation, self.ceil_mode)

    def _sides(self):
        """Return ((top, bottom), (left, right)) in pixels; zeros for 'valid' and 'same'."""
        sides = on_sides(self.padding)
        return tuple(side if isinstance(side, tuple) else (side, side) for side in sides)


class GlobalPooling(Layer):
    """One window over a whole image, or a whole signal, that makes one number of each channel."""

    @property
    def is_plain(self):
        """Whether it pools images: blocks compute no others."""
        return len(self.input_shape) == 3

    def output_shape(self, input_shape):
        if len(input_shape) not in (2, 3):
            raise ValueError(f'expected input (height, width, channels) or (length, channels), got {input_shape}')
        return input_shape[-1:]

    def build(self, input_shape):
        height, width = input_shape[:-1] if len(input_shape) == 3 else (1, input_shape[0])
        self.window = Window(height, width)


class Spread:
    """Images in which each window of a dilated pooling has pixels of its own, one window beside the other."""

    def __init__(self, input_shape, window, positions):
        axes = zip(input_shape, positions, window[:2], window[2:4], window[4:6], window[6:8], strict=False)
        places = [
            (np.arange(count)[:, np.newaxis] * step - before + np.arange(reads) * apart).reshape(-1)
            for _, count, reads, step, before, apart in axes
        ]
        rows, columns = ((place >= 0) & (place < size) for place, size in zip(places, input_shape, strict=False))
        self.outside = ~(rows[:, np.newaxis] & columns)
        rows, columns = (np.clip(place, 0, size - 1) for place, size in zip(places, input_shape, strict=False))
        self.pixels = (slice(None), rows[:, np.newaxis], columns)
        self.window = Window(*window[:2], *window[:2])

    def forward(self, x, padding):
        """Return images (N, P height, Q width, C) of images (N, H, W, C), `padding` where a window is outside."""
        spread = np.ascontiguousarray(x[self.pixels])
        spread[:, self.outside] = padding
        return spread

    def backward(self, dspread, dx):
        """Write the gradient of x."""
        dx[...] = 0
        dspread[:, self.outside] = 0
        np.add.at(dx, self.pixels, dspread)


class Passes(Layer):
    """What the passes of both poolings share: kernels know no dilation, and pool images of its windows instead."""

    _spread = None

    def _images(self, x, padding):
        """Return the images to pool, and the window over them."""
        if self._spread is None:
            return as_images(x), self.window
        return self._spread.forward(x, padding), self._spread.window

    def _gradient(self, backward, arrays):
        """Return dx, which the kernel `backward` computes of the arrays."""
        arrays = [as_images(array) for array in arrays]
        N, P, Q, C = arrays[0].shape
        dx = self.empty('dx', (N, *self.input_shape))
        if self._spread is None:
            backward(*arrays, as_images(dx), self.window, kernels.threads_for(dx.size))
        else:
            height, width = self.pool_size
            dspread = self.empty('dspread', (N, P * height, Q * width, C))
            backward(*arrays, dspread, self._spread.window, kernels.threads_for(dspread.size))
            self._spread.backward(dspread, dx)
        return dx


class Maximum(Passes):
    """The passes of a pooling that keeps the largest number of each window."""

    def forward(self, x, training=False):
        x = self.check_input(x)
        shape = (len(x), *self.shape)
        y, argmax = self.empty('y', shape), self.empty('argmax', shape, np.int32)
        self._saved = (argmax,)
        images, window = self._images(x, -np.inf)
        threads = kernels.threads_for(images.size)
        kernels.current().maxpool_forward(images, as_images(y), as_images(argmax), window, threads)
        return y

    def backward(self, dy):
        return self._gradient(kernels.current().maxpool_backward, [self.check_gradient(dy), *self._saved])


class Average(Passes):
    """The passes of a pooling that takes the mean of each window.

    `factor` is None, or what the mean over a window's pixels is multiplied by, (P, Q, 1).
    """

    factor = None

    def forward(self, x, training=False):
        x = self.check_input(x)
        y = self.empty('y', (len(x), *self.shape))
        self._saved = (x,)
        images, window = self._images(x, 0)
        kernels.current().averagepool_forward(images, as_images(y), window, kernels.threads_for(images.size))
        if self.factor is not None:
            y *= self.factor.astype(y.dtype)
        return y

    def backward(self, dy):
        dy = self.check_gradient(dy)
        if self.factor is not None:
            dy = dy * self.factor.astype(dy.dtype)
        return self._gradient(kernels.current().averagepool_backward, [dy])


class MaxPooling(Maximum, Pooling):
    """Keep the largest number of each window, channel by channel.

    Shape: (N, H, W, C) -> (N, P, Q, C), with P, Q after `cnnx._util.windows.window_over`.
    Gradient: passes to the position of the maximum alone; where windows overlap, gradients add. The first
    maximum in row-major order wins a tie, and a NaN wins over every number. Padding is never the maximum.

    Args:
        pool_size: a whole number, or a pair (height, width), in pixels.
        stride: likewise; by default the pool size, so that windows touch and do not overlap.
        padding: 'valid', 'same', a number of pixels, or a pair (height, width), on both sides, or
            ((top, bottom), (left, right)); each window has to cover a pixel of the image.
        input_shape: (H, W, C); needed where it cannot be inferred from the layer before.
        dilation: a whole number, or a pair: how far apart, in pixels, those of a window are.
        ceil_mode: whether a last window that reaches beyond the padding, but begins before it, counts. 'same' does
            this already.

    Raises:
        ValueError: an argument is none of these; or the window is larger than the input and padding is 'valid'.
    """


class AveragePooling(Average, Pooling):
    """Take the mean of each window, channel by channel.

    Shape: as for `MaxPooling`. Gradient: each pixel of a window gets dy / the number of its pixels; where
    windows overlap, gradients add. Padding does not count: a window is averaged over its pixels in the image.

    Args:
        pool_size, stride, padding, input_shape, dilation, ceil_mode: as for `MaxPooling`.
        count_include_pad: whether padding counts, as zeros; what `ceil_mode` adds beyond it never does.

    Raises:
        ValueError: as for `MaxPooling`.
    """

    @explained(LAYER_KEYWORDS)
    def __init__(
        self,
        pool_size,
        *,
        stride=None,
        padding='valid',
        input_shape=None,
        dilation=1,
        ceil_mode=False,
        count_include_pad=False,
    ):
        super().__init__(
            pool_size, stride=stride, padding=padding, input_shape=input_shape, dilation=dilation, ceil_mode=ceil_mode
        )
        self.count_include_pad = true_or_false(count_include_pad, 'count_include_pad')

    @property
    def is_plain(self):
        return super().is_plain and not self.count_include_pad

    def build(self, input_shape):
        super().build(input_shape)
        if not self.is_plain:
            of_pixels, counted = (
                np.outer(*self.counts(input_shape, with_padding))[..., np.newaxis]
                for with_padding in (False, self.count_include_pad)
            )
            divided_by = of_pixels if self._spread is None else math.prod(self.pool_size)
            self.factor = divided_by / counted

    def counts(self, input_shape, with_padding):
        """Return how many rows and columns each window covers, (P,) and (Q,), those of the padding among them or not.

        Where a window covers none, it is 1.
        """
        _, positions = self._places(input_shape)
        window, counts = self.window, []
        axes = zip(
            *(input_shape[:2], positions, window[:2], window[2:4], window[4:6], window[6:8], self._sides()), strict=True
        )
        for size, count, reads, step, before, apart, (_, after) in axes:
            if self.padding == 'same':
                after = max((count - 1) * step + apart * (reads - 1) + 1 - size - before, 0)
            places = np.arange(count)[:, np.newaxis] * step - before + np.arange(reads) * apart
            first, last = (-before, size + after) if with_padding else (0, size)
            counts.append(np.maximum(((places >= first) & (places < last)).sum(axis=1), 1))
        return counts


class GlobalMaxPooling(Maximum, GlobalPooling):
    """Keep the largest number of each channel of the whole image, or of a whole signal.

    Shape: (N, H, W, C) -> (N, C), or (N, L, C) -> (N, C). Gradient, ties and NaN: as for `MaxPooling`.

    Source: Oquab et al., "Is object localization for free?", 2015, section 3.
    """


class GlobalAveragePooling(Average, GlobalPooling):
    """Take the mean of each channel over the whole image, or over a whole signal.

    Shape: (N, H, W, C) -> (N, C), or (N, L, C) -> (N, C). Gradient: dx = dy / (H W) at every pixel, or dy / L.

    Source: Lin et al., "Network in network", 2014, section 3.2.
    """
