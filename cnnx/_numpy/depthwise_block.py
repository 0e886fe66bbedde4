"""The block of a depthwise convolution, with bias."""

from cnnx._numpy.depthwise import depthwise_backward_input, depthwise_backward_weights, depthwise_forward
from cnnx._numpy.program import Block


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
