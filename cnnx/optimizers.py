"""How gradients change parameters. Optimizers know `Parameter` objects and nothing else.

What an optimizer remembers of a parameter between steps is kept with the parameter, in `state`, under the
optimizer's `state_names`.
"""

import numpy as np

from cnnx import kernels
from cnnx.arrays import non_negative


class SGD:
    """Stochastic gradient descent: value -= learning_rate * velocity, velocity = momentum * velocity + gradient.

    Source: Sutskever et al., "On the importance of initialization and momentum in deep learning", 2013,
    in the form that PyTorch uses.

    Args:
        momentum: how much of the last step goes into the next, at least 0 and less than 1.

    Raises:
        ValueError: momentum is none of these.
    """

    state_names = ('velocity',)

    def __init__(self, momentum=0.0):
        self.momentum = non_negative(momentum, 'momentum', below=1)

    def settings(self):
        """Return the constructor's arguments as JSON can hold them."""
        return {'momentum': self.momentum}

    def update(self, parameters, learning_rate):
        """Take one step.

        Args:
            parameters: `Parameter` objects, gradients written.
            learning_rate: the step's size.
        """
        sgd_update = kernels.current().sgd_update
        for parameter in parameters:
            if not parameter.trainable:
                continue
            value, grad = parameter.value.reshape(-1), parameter.grad.reshape(-1)
            if 'velocity' not in parameter.state:
                parameter.state['velocity'] = np.zeros_like(parameter.value)
            velocity = parameter.state['velocity']
            threads = kernels.threads_for(value.size)
            sgd_update(value, grad, velocity.reshape(-1), learning_rate, self.momentum, threads)


OPTIMIZERS = {kind.__name__: kind for kind in (SGD,)}
