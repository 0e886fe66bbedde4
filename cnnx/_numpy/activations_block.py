"""The block of activation layers: ReLU, leaky ReLU, sigmoid, tanh."""

from cnnx._numpy import activations
from cnnx._numpy.program import Block


class ActivationBlock(Block):
    """Compute y = activation(x), element by element."""

    def __init__(self, kind, slope, x, y, dy=None, dx=None):
        self.forward_kernel = getattr(activations, f'{kind}_forward')
        self.backward_kernel = getattr(activations, f'{kind}_backward')
        self.options = (slope, 1) if kind == 'leaky_relu' else (1,)
        self.x, self.y, self.dy, self.dx = (None if a is None else a.reshape(len(a), -1) for a in (x, y, dy, dx))

    def forward(self, samples, training):
        self.forward_kernel(self.x[:samples], self.y[:samples], *self.options)

    def backward(self, samples):
        if self.dx is not None:
            self.backward_kernel(self.y[:samples], self.dy[:samples], self.dx[:samples], *self.options)
