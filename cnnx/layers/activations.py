"""Activation functions: ReLU, leaky ReLU, sigmoid and tanh."""

import numpy as np

from cnnx import kernels
from cnnx._util import logits
from cnnx._util.foreign_names import LAYER_KEYWORDS
from cnnx._util.hints import explained
from cnnx._util.validation import non_negative
from cnnx.layers.base import Layer


class Activation(Layer):
    """A function of each number by itself, whose gradient follows from its output.

    A kind of activation calls its two kernels, which take flat arrays.
    """

    def forward(self, x, training=False):
        x = self.check_input(x)
        y = self.empty('y', x.shape)
        self._saved = (y,)
        self._apply(x.reshape(-1), y.reshape(-1), kernels.threads_for(x.size))
        return y

    def backward(self, dy):
        dy = self.check_gradient(dy)
        (y,) = self._saved
        dx = self.empty('dx', y.shape)
        self._differentiate(y.reshape(-1), dy.reshape(-1), dx.reshape(-1), kernels.threads_for(y.size))
        return dx

    def _apply(self, x, y, threads):
        raise NotImplementedError

    def _differentiate(self, y, dy, dx, threads):
        raise NotImplementedError


class ReLU(Activation):
    """max(0, x), element by element.

    Shape: (N, ...) -> (N, ...). Gradient: dx = dy where the output is positive, else 0.
    """

    def _apply(self, x, y, threads):
        kernels.current().relu_forward(x, y, threads)

    def _differentiate(self, y, dy, dx, threads):
        kernels.current().relu_backward(y, dy, dx, threads)


class LeakyReLU(Activation):
    """x where it is positive, else negative_slope x, element by element: no input is without gradient.

    Shape: (N, ...) -> (N, ...). Gradient: dx = dy where the output is positive, else negative_slope dy.

    Source: Maas et al., "Rectifier nonlinearities improve neural network acoustic models", 2013.

    Args:
        negative_slope: a finite number of at least 0; 0 makes a ReLU, 1 the identity.
        input_shape: needed where it cannot be inferred from the layer before.

    Raises:
        ValueError: negative_slope is no such number.
    """

    adjustable = ('negative_slope',)
    planned = (*Layer.planned, 'negative_slope')

    @explained(LAYER_KEYWORDS)
    def __init__(self, negative_slope=0.01, *, input_shape=None):
        super().__init__(input_shape)
        self.negative_slope = non_negative(negative_slope, 'negative_slope')

    def _apply(self, x, y, threads):
        kernels.current().leaky_relu_forward(x, y, self.negative_slope, threads)

    def _differentiate(self, y, dy, dx, threads):
        kernels.current().leaky_relu_backward(y, dy, dx, self.negative_slope, threads)


class Sigmoid(Activation):
    """1 / (1 + exp(-x)), element by element: any number becomes one between 0 and 1.

    Shape: (N, ...) -> (N, ...). Gradient: dx = dy y (1 - y). Before `BinaryCrossEntropy` it is exact also where
    probabilities round to 0 or 1: the loss works on the layer's input, and the layer takes the gradient by it from the
    loss (see cnnx/_util/logits.py).
    """

    def forward(self, x, training=False):
        x = self.check_input(x)
        y = super().forward(x, training)
        # Most sigmoids are not the last layer: copies of x and y would be for nothing.
        logits.logits_by_probabilities.remember_source(y, x, _sigmoid)
        return y

    def backward(self, dy):
        dlogits = logits.dlogits_by_dy.find(dy)
        return super().backward(dy) if dlogits is None else dlogits

    def _apply(self, x, y, threads):
        kernels.current().sigmoid_forward(x, y, threads)

    def _differentiate(self, y, dy, dx, threads):
        kernels.current().sigmoid_backward(y, dy, dx, threads)


def _sigmoid(x):
    y = np.empty_like(x)
    kernels.current().sigmoid_forward(x.reshape(-1), y.reshape(-1), kernels.threads_for(x.size))
    return y


class Tanh(Activation):
    """The hyperbolic tangent, element by element: any number becomes one between -1 and 1.

    Shape: (N, ...) -> (N, ...). Gradient: dx = dy (1 - y^2).
    """

    def _apply(self, x, y, threads):
        kernels.current().tanh_forward(x, y, threads)

    def _differentiate(self, y, dy, dx, threads):
        kernels.current().tanh_backward(y, dy, dx, threads)
