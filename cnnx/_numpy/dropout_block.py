"""The block of a dropout layer, which runs in training only."""

from cnnx._numpy.dropout import dropout_backward, dropout_forward
from cnnx._numpy.program import Block


class DropoutBlock(Block):
    """Compute y = 0 with probability `rate`, else x / (1 - rate)."""

    def __init__(self, x, y, dy=None, dx=None):
        self.x, self.y, self.dy, self.dx = (None if a is None else a.reshape(len(a), -1) for a in (x, y, dy, dx))
        self.key, self.rate = 0, 0.0

    def draw(self, key, rate):
        self.key, self.rate = key, rate

    def forward(self, samples, training):
        dropout_forward(self.x[:samples].reshape(-1), self.y[:samples].reshape(-1), self.key, self.rate, 1)

    def backward(self, samples):
        if self.dx is not None:
            dropout_backward(self.dy[:samples].reshape(-1), self.dx[:samples].reshape(-1), self.key, self.rate, 1)
