"""Stochastic gradient descent."""


def sgd_update(table, learning_rate, momentum, num_threads):
    """Velocity = momentum velocity + gradient; value -= learning_rate velocity."""
    for value, gradient, velocity in table.rows:
        velocity *= momentum
        velocity += gradient
        value -= value.dtype.type(learning_rate) * velocity
