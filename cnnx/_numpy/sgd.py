"""Stochastic gradient descent."""


def sgd_update(value, grad, velocity, learning_rate, momentum, num_threads):
    """Velocity = momentum velocity + grad; value -= learning_rate velocity."""
    velocity *= momentum
    velocity += grad
    value -= learning_rate * velocity
