"""Adagrad updates."""

import numpy as np

from cnnx._numpy.sgd import effective_gradient


def adagrad_update(table, learning_rate, epsilon, weight_decay, scale, num_threads):
    """Update square_sum += g^2, then value -= learning_rate g / (sqrt(square_sum) + epsilon).

    g = scale gradient + weight_decay value.
    """
    for value, gradient, square_sum in table.rows:
        g = effective_gradient(value, gradient, weight_decay, scale)
        square_sum += g * g
        value -= learning_rate * g / (np.sqrt(square_sum) + epsilon)
