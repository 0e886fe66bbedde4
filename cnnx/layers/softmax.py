"""Softmax and LogSoftmax: rows of numbers to probabilities, one row a sample or one a position."""

import numpy as np

from cnnx import kernels
from cnnx._util import logits
from cnnx.layers.base import Layer


class Softmax(Layer):
    """exp(x) / sum of exp(x), row by row: any numbers become probabilities.

    Shape: (N, ..., classes) -> (N, ..., classes): of images (N, H, W, classes), the classes of each position. Gradient:
    dx = y (dy - sum of y dy). Before `CategoricalCrossEntropy` it is exact also where probabilities round to 0 or 1:
    the loss works on the layer's input, and the layer takes the gradient by it from the loss (see
    cnnx/_util/logits.py).
    """

    def output_shape(self, input_shape):
        return input_shape

    def forward(self, x, training=False):
        x = self.check_input(x)
        y = self.empty('y', x.shape)
        self._saved = (y,)
        kernels.current().softmax_forward(_rows(x), _rows(y), kernels.threads_for(x.size))
        logits.logits_by_probabilities.remember(y, x)
        return y

    def backward(self, dy):
        # Where dy came from cross-entropy, the loss has left (p - target) / N for it: exact, and dy is not used.
        dlogits = logits.dlogits_by_dy.find(dy)
        dy = self.check_gradient(dy)
        if dlogits is not None:
            return dlogits
        (y,) = self._saved
        dx = self.empty('dx', y.shape)
        kernels.current().softmax_backward(_rows(y), _rows(dy), _rows(dx), kernels.threads_for(y.size))
        return dx


class LogSoftmax(Layer):
    """x - log of the sum of exp(x), row by row: the logarithms of what `Softmax` gives.

    Train with `CategoricalCrossEntropy(from_logits=True)`: the softmax of these numbers is that of x.

    Shape: (N, ..., classes) -> (N, ..., classes). Gradient: dx = dy - exp(y) times the sum of dy.
    """

    def forward(self, x, training=False):
        x = self.check_input(x)
        y = self.empty('y', x.shape)
        np.subtract(x, x.max(axis=-1, keepdims=True), out=y)
        y -= np.log(np.exp(y).sum(axis=-1, keepdims=True))
        self._saved = (y,)
        return y

    def backward(self, dy):
        dy = self.check_gradient(dy)
        (y,) = self._saved
        dx = self.empty('dx', y.shape)
        np.exp(y, out=dx)
        dx *= dy.sum(axis=-1, keepdims=True)
        return np.subtract(dy, dx, out=dx)


def _rows(array):
    return array.reshape(-1, array.shape[-1])
