"""RMSprop updates."""

import numpy as np

from cnnx._numpy.sgd import effective_gradient


def rmsprop_update(table, learning_rate, rho, epsilon, momentum, weight_decay, scale, num_threads):
    """Update velocity = momentum velocity + g / (sqrt(square_average) + epsilon), value -= learning_rate velocity.

    Before that, square_average = rho square_average + (1 - rho) g^2. g = scale gradient + weight_decay value.
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
