"""The block of a convolution with bias, and of the ReLU and max-pooling after it."""

import numpy as np

from cnnx._numpy.activations import relu_backward, relu_forward
from cnnx._numpy.convolution import convolution_backward_input, im2col, multiply_windows, multiply_windows_transposed
from cnnx._numpy.pooling import maxpool_backward, maxpool_forward
from cnnx._numpy.program import Block


class ConvolutionBlock(Block):
    """Convolution, then ReLU if `relu`, then max-pooling if `pool` is a window."""

    def __init__(self, x, weights, bias, y, window, positions, pool, relu, dy=None, dx=None, dweights=None, dbias=None):
        self.x, self.weights, self.bias, self.y = x, weights, bias, y
        self.window, self.positions, self.pool, self.relu = window, positions, pool, relu
        self.dy, self.dx, self.dweights, self.dbias = dy, dx, dweights, dbias
        self.windows = self.map = self.argmax = None

    def forward(self, samples, training):
        y = self.y[:samples]
        self.map = np.empty((samples, *self.positions, y.shape[-1]), y.dtype)
        windows = im2col(self.x[:samples], self.window, self.positions)
        multiply_windows(windows, self.weights, self.bias, self.map)
        self.windows = windows if training else None
        if self.relu:
            relu_forward(self.map, self.map, 1)
        if self.pool is None:
            y[...] = self.map
        else:
            self.argmax = np.empty(y.shape, np.int32)
            maxpool_forward(self.map, y, self.argmax, self.pool, 1)

    def backward(self, samples):
        if self.dy is None:
            return
        dy = self.dy[:samples]
        if self.pool is not None:
            dmap = np.empty_like(self.map)
            maxpool_backward(dy, self.argmax, dmap, self.pool, 1)
            dy = dmap
        if self.relu:
            relu_backward(self.map, dy, dy, 1)
        multiply_windows_transposed(self.windows, dy, self.dweights, self.dbias)
        if self.dx is not None:
            convolution_backward_input(self.weights, dy, self.dx[:samples], self.window, 1)
