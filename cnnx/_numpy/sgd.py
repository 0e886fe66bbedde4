"""Stochastic gradient descent."""


def slope_of(value, gradient, weight_decay, scale):
    """Return what optimizers go down: scale gradient + weight_decay value; the gradient itself where it is that."""
    if scale == 1 and weight_decay == 0:
        return gradient
    return scale * gradient + weight_decay * value


def sgd_update(table, learning_rate, momentum, nesterov, weight_decay, scale, num_threads):
    """Velocity = momentum velocity + slope; value -= learning_rate velocity.

    With nesterov, value -= learning_rate (slope + momentum velocity); slope = scale gradient + weight_decay value.
    """
    for value, gradient, *state in table.rows:
        step = slope = slope_of(value, gradient, weight_decay, scale)
        if momentum:
            (velocity,) = state
            velocity *= momentum
            velocity += slope
            step = slope + momentum * velocity if nesterov else velocity
        value -= learning_rate * step
