"""Adam and AdamW updates."""

import math

import numpy as np

from cnnx._numpy.sgd import effective_gradient


def adam_update(table, updates, learning_rate, beta_1, beta_2, epsilon, weight_decay, decoupled, scale, num_threads):
    """Update the averages, then value -= learning_rate average' / (sqrt(square_average') + epsilon).

    average += (1 - beta_1) (g - average), square_average = beta_2 square_average + (1 - beta_2) g^2, and the primed
    ones are divided by 1 - beta^update. g = scale gradient + weight_decay value; where `decoupled`, as in AdamW, the
    decay is value *= 1 - learning_rate weight_decay instead.
    """
    for (value, gradient, average, square_average), update in zip(table.rows, updates.tolist(), strict=True):
        g = effective_gradient(value, gradient, 0 if decoupled else weight_decay, scale)
        average += (1 - beta_1) * (g - average)
        square_average *= beta_2
        square_average += (1 - beta_2) * g * g
        root = np.sqrt(square_average) / math.sqrt(1 - beta_2**update)
        if decoupled:
            value *= 1 - learning_rate * weight_decay
        value -= learning_rate / (1 - beta_1**update) * average / (root + epsilon)
