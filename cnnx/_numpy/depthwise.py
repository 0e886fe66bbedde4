"""Depthwise convolution: each channel has one filter of its own.

Letters: as in convolution.py; weights are (R, S, 1, C), and y has C channels.
"""

import numpy as np

from cnnx._numpy.convolution import crop_image, groups_of, padded_image, padded_size, pixels_under
from cnnx._numpy.program import Block


def _check(window, weights, channels):
    if weights.shape[2:] != (1, channels):
        raise ValueError(f'weights: expected shape {(*weights.shape[:2], 1, channels)}, got {weights.shape}')
    next(groups_of(channels, window, weights), None)


def depthwise_forward(x, weights, bias, y, window, num_threads):
    """Compute y[p, q, c] = sum over r, s of x[p + r, q + s, c] weights[r, s, 0, c], plus bias[c]."""
    _check(window, weights, x.shape[3])
    padded = padded_image(x, window, y.shape[1:3])
    y[...] = bias
    for r, s in np.ndindex(window.height, window.width):
        y += padded[:, *pixels_under(window, y.shape[1:3], r, s)] * weights[r, s, 0]


def depthwise_backward_weights(x, dy, dweights, dbias, window, num_threads):
    """Compute dweights[r, s, 0, c] = sum of x[p + r, q + s, c] dy[p, q, c]; dbias = sum of dy."""
    _check(window, dweights, x.shape[3])
    padded = padded_image(x, window, dy.shape[1:3])
    for r, s in np.ndindex(window.height, window.width):
        dweights[r, s, 0] = (padded[:, *pixels_under(window, dy.shape[1:3], r, s)] * dy).sum(axis=(0, 1, 2))
    np.sum(dy, axis=(0, 1, 2), out=dbias)


def depthwise_backward_input(weights, dy, dx, window, num_threads):
    """Compute dx: dy times each weight is added to the pixel that the weight was for."""
    _check(window, weights, dx.shape[3])
    padded = np.zeros((len(dx), *padded_size(window, dy.shape[1:3]), dx.shape[3]), dx.dtype)
    for r, s in np.ndindex(window.height, window.width):
        padded[:, *pixels_under(window, dy.shape[1:3], r, s)] += dy * weights[r, s, 0]
    crop_image(padded, window, dy.shape[1:3], dx)


class DepthwiseBlock(Block):
    """Convolution by one filter for each channel."""

    def __init__(self, x, weights, bias, y, window, dy=None, dx=None, dweights=None, dbias=None):
        self.x, self.weights, self.bias, self.y, self.window = x, weights, bias, y, window
        self.dy, self.dx, self.dweights, self.dbias = dy, dx, dweights, dbias

    def forward(self, samples, training):
        depthwise_forward(self.x[:samples], self.weights, self.bias, self.y[:samples], self.window, 1)

    def backward(self, samples):
        if self.dy is None:
            return
        dy = self.dy[:samples]
        depthwise_backward_weights(self.x[:samples], dy, self.dweights, self.dbias, self.window, 1)
        if self.dx is not None:
            depthwise_backward_input(self.weights, dy, self.dx[:samples], self.window, 1)
