"""RMSprop: gradients divided by the root of their mean square, without correction of its beginning."""

import numpy as np

from cnnx._numpy.sgd import slope_of


def rmsprop_update(table, learning_rate, rho, epsilon, momentum, weight_decay, scale, num_threads):
    """Velocity = momentum velocity + slope / (sqrt(square_average) + epsilon); value -= learning_rate velocity."""
    for value, gradient, square_average, *state in table.rows:
        slope = slope_of(value, gradient, weight_decay, scale)
        square_average *= rho
        square_average += (1 - rho) * slope * slope
        step = slope / (np.sqrt(square_average) + epsilon)
        if momentum:
            (velocity,) = state
            velocity *= momentum
            velocity += step
            step = velocity
        value -= learning_rate * step
