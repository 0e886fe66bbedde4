"""The fully connected layer: y = x weights + bias.

Letters: N samples, I inputs, O outputs.
"""

import math

import numpy as np

from cnnx._numpy.activations import relu_backward, relu_forward
from cnnx._numpy.program import Block


def dense_forward(x, weights, bias, y, num_threads):
    """Compute y = x weights + bias."""
    np.matmul(x, weights, out=y)
    y += bias


def dense_backward_weights(x, dy, dweights, dbias, num_threads):
    """Compute dweights = x, transposed, times dy; dbias = sum of dy over the samples."""
    np.matmul(x.T, dy, out=dweights)
    np.sum(dy, axis=0, out=dbias)


def dense_backward_input(weights, dy, dx, num_threads):
    """Compute dx = dy times weights, transposed."""
    np.matmul(dy, weights.T, out=dx)


class DenseBlock(Block):
    """Compute y = x weights + bias, then max(0, y) if `relu`."""

    large_bytes = math.inf

    def __init__(self, x, weights, bias, y, relu, dy=None, dx=None, dweights=None, dbias=None):
        self.x, self.weights, self.bias, self.y, self.relu = x, weights, bias, y, relu
        self.dy, self.dx, self.dweights, self.dbias = dy, dx, dweights, dbias

    def forward(self, samples, training):
        y = self.y[:samples]
        dense_forward(self.x[:samples], self.weights, self.bias, y, 1)
        if self.relu:
            relu_forward(y, y, 1)

    def backward(self, samples):
        if self.dy is None:
            return
        dy = self.dy[:samples]
        if self.relu:
            relu_backward(self.y[:samples], dy, dy, 1)
        dense_backward_weights(self.x[:samples], dy, self.dweights, self.dbias, 1)
        if self.dx is not None:
            dense_backward_input(self.weights, dy, self.dx[:samples], 1)
