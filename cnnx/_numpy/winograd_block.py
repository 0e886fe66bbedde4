"""The block of a 3 x 3 convolution by Winograd's method, with bias and the ReLU after it."""

import math

from cnnx._numpy.activations import relu_backward, relu_forward
from cnnx._numpy.program import Block
from cnnx._numpy.winograd import winograd_backward_input, winograd_backward_weights, winograd_forward


class WinogradBlock(Block):
    """Convolution by 3 x 3 filters with stride 1, then ReLU if `relu`."""

    large_bytes = math.inf

    def __init__(self, x, weights, bias, y, window, relu, dy=None, dx=None, dweights=None, dbias=None):
        self.x, self.weights, self.bias, self.y = x, weights, bias, y
        self.window, self.relu = window, relu
        self.dy, self.dx, self.dweights, self.dbias = dy, dx, dweights, dbias

    def forward(self, samples, training):
        y = self.y[:samples]
        winograd_forward(self.x[:samples], self.weights, self.bias, y, self.window, 1)
        if self.relu:
            relu_forward(y, y, 1)

    def backward(self, samples):
        if self.dy is None:
            return
        dy = self.dy[:samples]
        if self.relu:
            dy = dy.copy()
            relu_backward(self.y[:samples], dy, dy, 1)
        winograd_backward_weights(self.x[:samples], dy, self.dweights, self.dbias, self.window, 1)
        if self.dx is not None:
            winograd_backward_input(self.weights, dy, self.dx[:samples], self.window, 1)
