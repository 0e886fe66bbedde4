"""Updates of stochastic gradient descent, with momentum and Nesterov momentum."""


def effective_gradient(value, gradient, weight_decay, scale):
    """Return g = scale gradient + weight_decay value; the gradient itself where these are equal."""
    if scale == 1 and weight_decay == 0:
        return gradient
    return scale * gradient + weight_decay * value


def sgd_update(table, learning_rate, momentum, nesterov, weight_decay, scale, num_threads):
    """Update velocity = momentum velocity + g, value -= learning_rate velocity.

    With nesterov, value -= learning_rate (g + momentum velocity). g = scale gradient + weight_decay value.
    """
    for value, gradient, *state in table.rows:
        step = g = effective_gradient(value, gradient, weight_decay, scale)
        if momentum:
            (velocity,) = state
            velocity *= momentum
            velocity += g
            step = g + momentum * velocity if nesterov else velocity
        value -= learning_rate * step
