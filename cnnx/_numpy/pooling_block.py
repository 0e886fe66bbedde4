"""The block of max-pooling and average pooling, where they do not run in a convolution's block."""

import numpy as np

from cnnx._numpy.pooling import averagepool_backward, averagepool_forward, maxpool_backward, maxpool_forward
from cnnx._numpy.program import Block


class PoolingBlock(Block):
    """Compute y = the maximum, or the mean if `average`, of the pixels in each window."""

    def __init__(self, average, x, y, window, dy=None, dx=None):
        self.average, self.window = average, window
        self.x, self.y, self.dy, self.dx = x, y, dy, dx
        self.argmax = np.empty(y.shape, np.int32)

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
