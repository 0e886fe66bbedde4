"""The block of a transposed convolution, with bias."""

import numpy as np

from cnnx._numpy.convolution import convolution_backward_input, convolution_backward_weights, convolution_forward
from cnnx._numpy.program import Block


class TransposedConvolutionBlock(Block):
    """Each pixel of x adds its filters, times itself, to a window of y."""

    def __init__(self, x, weights, bias, y, window, dy=None, dx=None, dweights=None, dbias=None):
        self.x, self.weights, self.bias, self.y, self.window = x, weights, bias, y, window
        self.dy, self.dx, self.dweights, self.dbias = dy, dx, dweights, dbias
        self.no_bias = np.zeros(x.shape[3], x.dtype)

    def forward(self, samples, training):
        y = self.y[:samples]
        convolution_backward_input(self.weights, self.x[:samples], y, self.window, 1)
        y += self.bias

    def backward(self, samples):
        if self.dy is None:
            return
        dy = self.dy[:samples]
        unused = np.empty_like(self.no_bias)
        convolution_backward_weights(dy, self.x[:samples], self.dweights, unused, self.window, 1)
        np.sum(dy, axis=(0, 1, 2), out=self.dbias)
        if self.dx is not None:
            convolution_forward(dy, self.weights, self.no_bias, self.dx[:samples], self.window, 1)
