"""What optimizers do with a table of parameters and gradients: checks of the gradients, and updates.

The updates use g = scale gradient + weight_decay value.
"""

import math

import numpy as np


def all_finite(table, column, num_threads):
    """Return whether all numbers in a column of a table are finite: neither NaN nor infinite."""
    return all(bool(np.isfinite(row[column]).all()) for row in table.rows)


def sum_of_squares(table, column, num_threads):
    """Return the sum of the squares of all numbers in a column of a table, summed in float64."""
    return float(sum(np.square(row[column], dtype=np.float64).sum() for row in table.rows))


def effective_gradient(value, gradient, weight_decay, scale):
    """Return g; the gradient itself where these are equal."""
    if scale == 1 and weight_decay == 0:
        return gradient
    return scale * gradient + weight_decay * value


def sgd_update(table, learning_rate, momentum, nesterov, weight_decay, scale, num_threads):
    """Update velocity = momentum velocity + g, value -= learning_rate velocity.

    With nesterov, value -= learning_rate (g + momentum velocity).
    """
    for value, gradient, *state in table.rows:
        step = g = effective_gradient(value, gradient, weight_decay, scale)
        if momentum:
            (velocity,) = state
            velocity *= momentum
            velocity += g
            step = g + momentum * velocity if nesterov else velocity
        value -= learning_rate * step


def adam_update(table, updates, learning_rate, beta_1, beta_2, epsilon, weight_decay, decoupled, scale, num_threads):
    """Update the averages, then value -= learning_rate average' / (sqrt(square_average') + epsilon).

    average += (1 - beta_1) (g - average), square_average = beta_2 square_average + (1 - beta_2) g^2, and the primed
    ones are divided by 1 - beta^update. Where `decoupled`, as in AdamW, g is without weight decay, which is
    value *= 1 - learning_rate weight_decay instead.
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


def rmsprop_update(table, learning_rate, rho, epsilon, momentum, weight_decay, scale, num_threads):
    """Update velocity = momentum velocity + g / (sqrt(square_average) + epsilon), value -= learning_rate velocity.

    Before that, square_average = rho square_average + (1 - rho) g^2.
    """
    for value, gradient, square_average, *state in table.rows:
        g = effective_gradient(value, gradient, weight_decay, scale)
        square_average *= rho
        square_average += (1 - rho) * g * g
        step = g / (np.sqrt(square_average) + epsilon)
        if momentum:
            (velocity,) = state
            velocity *= momentum
            velocity += step
            step = velocity
        value -= learning_rate * step


def adagrad_update(table, learning_rate, epsilon, weight_decay, scale, num_threads):
    """Update square_sum += g^2, then value -= learning_rate g / (sqrt(square_sum) + epsilon)."""
    for value, gradient, square_sum in table.rows:
        g = effective_gradient(value, gradient, weight_decay, scale)
        square_sum += g * g
        value -= learning_rate * g / (np.sqrt(square_sum) + epsilon)
