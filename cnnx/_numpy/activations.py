"""Activation functions and their gradients: ReLU, leaky ReLU, sigmoid, tanh. Arrays have one axis."""

import numpy as np


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
    """Compute y = 1 / (1 + exp(-x)), by exp(-|x|), which cannot overflow."""
    small = np.exp(-np.abs(x))
    y[...] = np.where(x > 0, 1, small) / (1 + small)


def sigmoid_backward(y, dy, dx, num_threads):
    """Compute dx = dy y (1 - y)."""
    np.multiply(dy * y, 1 - y, out=dx)


def tanh_forward(x, y, num_threads):
    """Compute y = tanh(x)."""
    np.tanh(x, out=y)


def tanh_backward(y, dy, dx, num_threads):
    """Compute dx = dy (1 - y^2)."""
    np.multiply(dy * (1 - y), 1 + y, out=dx)
