"""Adam: gradients divided by the root of their mean square."""

import math

import numpy as np

from cnnx._numpy.sgd import slope_of


def adam_update(table, updates, learning_rate, beta_1, beta_2, epsilon, weight_decay, decoupled, scale, num_threads):
    """Value -= learning_rate corrected average / (root of the corrected square_average + epsilon)."""
    for (value, gradient, average, square_average), update in zip(table.rows, updates.tolist(), strict=True):
        slope = slope_of(value, gradient, 0 if decoupled else weight_decay, scale)
        average += (1 - beta_1) * (slope - average)
        square_average *= beta_2
        square_average += (1 - beta_2) * slope * slope
        root = np.sqrt(square_average) / math.sqrt(1 - beta_2**update)
        if decoupled:
            value *= 1 - learning_rate * weight_decay
        value -= learning_rate / (1 - beta_1**update) * average / (root + epsilon)
