"""Max-pooling and average pooling, forward and backward.

Windows may extend beyond the edges of the image; pixels outside of it do not count.

Letters: N samples; H, W rows and columns of the input; P, Q rows and columns of the output; C channels.
"""

import numpy as np

from cnnx._numpy.program import Block
from cnnx._util.validation import MAX_SIZE


def check_pooling(window, image, positions):
    """Raise a ValueError unless each window at `positions` (P, Q) covers at least one pixel of an image (H, W)."""
    for extent, stride, before, count, size in zip(window[:2], window[2:4], window[4:6], positions, image, strict=True):
        fits = stride >= 1 and 0 <= before < extent and size >= 1
        if count > 0 and not (fits and count - 1 <= (size - 1 + before) // stride):
            raise ValueError(
                f'{count} windows of {extent} pixels, {stride} apart with {before} of padding, '
                f'reach beyond images of {size}'
            )
    if window.height * window.width > MAX_SIZE:
        raise ValueError(f'window: expected at most {MAX_SIZE} pixels, got {window.height} x {window.width}')


def places(window, image, positions):
    """Yield (place, windows, pixels) for each place in a window that covers a pixel of the image at some position.

    `place` counts the places of a window in row-major order. `windows` are the slices of the positions (N, P, Q) at
    which the place covers a pixel, and `pixels` the slices of the image (N, H, W) that it covers there.
    """
    check_pooling(window, image, positions)
    axes = [
        list(_along(*numbers)) for numbers in zip(window[:2], window[2:4], window[4:6], positions, image, strict=True)
    ]
    for r, rows, pixel_rows in axes[0]:
        for s, columns, pixel_columns in axes[1]:
            place = r * window.width + s
            yield place, (slice(None), rows, columns), (slice(None), pixel_rows, pixel_columns)


def _along(extent, stride, before, positions, size):
    """Yield (place, positions, pixels) along one axis."""
    for place in range(max(before - (positions - 1) * stride, 0), min(extent, size + before)):
        first = max(-((place - before) // stride), 0)
        last = min((size - 1 + before - place) // stride, positions - 1)
        if first <= last:
            begin = first * stride - before + place
            yield place, slice(first, last + 1), slice(begin, begin + (last - first) * stride + 1, stride)


def maxpool_forward(x, y, argmax, window, num_threads):
    """Compute y = the maximum of each window; the first of equal ones counts, and a NaN counts as the maximum."""
    argmax[...] = -1
    for place, windows, pixels in places(window, x.shape[1:3], y.shape[1:3]):
        value, best, best_place = x[pixels], y[windows], argmax[windows]
        wins = (best_place < 0) | (~(value <= best) & (best == best))
        best[wins] = value[wins]
        best_place[wins] = place


def maxpool_backward(dy, argmax, dx, window, num_threads):
    """Compute dx = dy at each maximum and 0 elsewhere; where windows overlap, their gradients add."""
    dx[...] = 0
    for place, windows, pixels in places(window, dx.shape[1:3], dy.shape[1:3]):
        dx[pixels] += np.where(argmax[windows] == place, dy[windows], 0)


def averagepool_forward(x, y, window, num_threads):
    """Compute y = the mean of the pixels in each window."""
    y[...] = 0
    for _, windows, pixels in places(window, x.shape[1:3], y.shape[1:3]):
        y[windows] += x[pixels]
    y /= _pixels(window, x.shape[1:3], y)


def averagepool_backward(dy, dx, window, num_threads):
    """Compute dx = for each pixel, the sum of dy / (number of pixels) over the windows that cover it."""
    per_pixel = dy / _pixels(window, dx.shape[1:3], dy)
    dx[...] = 0
    for _, windows, pixels in places(window, dx.shape[1:3], dy.shape[1:3]):
        dx[pixels] += per_pixel[windows]


def _pixels(window, image, outputs):
    """Return how many pixels each window covers, (1, P, Q, 1), in the dtype of the outputs."""
    counts = np.zeros((1, *outputs.shape[1:3], 1), outputs.dtype)
    for _, windows, _ in places(window, image, outputs.shape[1:3]):
        counts[windows] += 1
    return counts


class PoolingBlock(Block):
    """Compute y = the maximum, or the mean if `average`, of the pixels in each window."""

    def __init__(self, average, x, y, window, dy=None, dx=None, argmax=None):
        self.average, self.window = average, window
        self.x, self.y, self.dy, self.dx = x, y, dy, dx
        self.argmax = np.empty(y.shape, np.int32) if argmax is None else argmax

    def forward(self, samples, training):
        x, y = self.x[:samples], self.y[:samples]
        if self.average:
            averagepool_forward(x, y, self.window, 1)
        else:
            maxpool_forward(x, y, self.argmax[:samples], self.window, 1)

    def backward(self, samples):
        if self.dx is None:
            return
        dy, dx = self.dy[:samples], self.dx[:samples]
        if self.average:
            averagepool_backward(dy, dx, self.window, 1)
        else:
            maxpool_backward(dy, self.argmax[:samples], dx, self.window, 1)
