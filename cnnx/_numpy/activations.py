"""Activation functions and their gradients: ReLU, leaky ReLU, sigmoid, tanh, ELU, softplus, SiLU, GELU, hard swish.

Arrays have one axis.
"""

import math

import numpy as np

from cnnx._numpy.program import Block


def relu_forward(x, y, num_threads):
    """Compute y = max(0, x); a NaN stays NaN."""
    np.maximum(x, 0, out=y)


def relu_backward(y, dy, dx, num_threads):
    """Compute dx = dy where the output is positive, else 0."""
    dx[...] = np.where(y > 0, dy, 0)


def leaky_relu_forward(x, y, negative_slope, num_threads):
    """Compute y = x where x is positive, else negative_slope x."""
    y[...] = np.where(x > 0, x, x.dtype.type(negative_slope) * x)


def leaky_relu_backward(y, dy, dx, negative_slope, num_threads):
    """Compute dx = dy where the output is positive, else negative_slope dy."""
    dx[...] = np.where(y > 0, dy, y.dtype.type(negative_slope) * dy)


def sigmoid_forward(x, y, num_threads):
    """Compute y = 1 / (1 + exp(-x))."""
    y[...] = _logistic(x)


def sigmoid_backward(y, dy, dx, num_threads):
    """Compute dx = dy y (1 - y)."""
    np.multiply(dy * y, 1 - y, out=dx)


def tanh_forward(x, y, num_threads):
    """Compute y = tanh(x)."""
    np.tanh(x, out=y)


def tanh_backward(y, dy, dx, num_threads):
    """Compute dx = dy (1 - y^2)."""
    np.multiply(dy * (1 - y), 1 + y, out=dx)


def elu_forward(x, y, alpha, num_threads):
    """Compute y = x where x is positive, else alpha (exp(x) - 1)."""
    y[...] = np.where(x > 0, x, x.dtype.type(alpha) * np.expm1(np.where(x > 0, 0, x)))


def elu_backward(y, dy, dx, alpha, num_threads):
    """Compute dx = dy where the output is positive, else dy (y + alpha)."""
    dx[...] = np.where(y > 0, dy, dy * (y + y.dtype.type(alpha)))


def softplus_forward(x, y, num_threads):
    """Compute y = log(1 + exp(x)), by exp(-|x|), which cannot overflow."""
    np.add(np.maximum(x, 0), np.log1p(np.exp(-np.abs(x))), out=y)


def softplus_backward(x, dy, dx, num_threads):
    """Compute dx = dy / (1 + exp(-x))."""
    np.multiply(dy, _logistic(x), out=dx)


def silu_forward(x, y, num_threads):
    """Compute y = x / (1 + exp(-x))."""
    np.multiply(x, _logistic(x), out=y)


def silu_backward(x, dy, dx, num_threads):
    """Compute dx = dy s (1 + x (1 - s)), s = 1 / (1 + exp(-x))."""
    s = _logistic(x)
    np.multiply(dy, s * (1 + x * (1 - s)), out=dx)


def gelu_forward(x, y, num_threads):
    """Compute y = x F(x), F(x) = (1 + erf(x / sqrt(2))) / 2."""
    np.multiply(x, _normal_distribution(x), out=y)


def gelu_backward(x, dy, dx, num_threads):
    """Compute dx = dy (F(x) + x exp(-x^2 / 2) / sqrt(2 pi))."""
    density = np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
    np.multiply(dy, _normal_distribution(x) + x * density, out=dx)


def hard_swish_forward(x, y, num_threads):
    """Compute y = x min(max(x + 3, 0), 6) / 6."""
    np.multiply(x, np.clip(x + 3, 0, 6) / 6, out=y)


def hard_swish_backward(x, dy, dx, num_threads):
    """Compute dx = 0 where x < -3, dy where x > 3, else dy (2 x + 3) / 6."""
    dx[...] = np.where(x < -3, 0, np.where(x > 3, dy, dy * ((2 * x + 3) / 6)))


def _logistic(x):
    """Return 1 / (1 + exp(-x)), by exp(-|x|), which cannot overflow."""
    small = np.exp(-np.abs(x))
    return np.where(x > 0, 1, small) / (1 + small)


def _normal_distribution(x):
    """Return (1 + erf(x / sqrt(2))) / 2, number by number: NumPy has no error function."""
    twice = np.frompyfunc(math.erfc, 1, 1)(-math.sqrt(0.5) * x.astype(np.float64))
    return (0.5 * twice.astype(np.float64)).astype(x.dtype)


class ActivationBlock(Block):
    """Compute y = activation(x), element by element."""

    def __init__(self, kind, slope, x, y, dy=None, dx=None):
        self.forward_kernel = globals()[f'{kind}_forward']
        self.backward_kernel = globals()[f'{kind}_backward']
        self.options = (slope, 1) if kind == 'leaky_relu' else (1,)
        self.x, self.y, self.dy, self.dx = (None if a is None else a.reshape(len(a), -1) for a in (x, y, dy, dx))

    def forward(self, samples, training):
        self.forward_kernel(self.x[:samples], self.y[:samples], *self.options)

    def backward(self, samples):
        if self.dx is not None:
            self.backward_kernel(self.y[:samples], self.dy[:samples], self.dx[:samples], *self.options)
