"""Adagrad: gradients divided by the root of the sum of their squares."""

import numpy as np

from cnnx._numpy.sgd import slope_of


def adagrad_update(table, learning_rate, epsilon, weight_decay, scale, num_threads):
    """Value -= learning_rate slope / (sqrt(square_sum) + epsilon), after square_sum += slope^2."""
    for value, gradient, square_sum in table.rows:
        slope = slope_of(value, gradient, weight_decay, scale)
        square_sum += slope * slope
        value -= learning_rate * slope / (np.sqrt(square_sum) + epsilon)
