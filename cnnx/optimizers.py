"""How gradients change parameters. Optimizers know `Parameter` objects, by name, and nothing else."""

import numpy as np

from cnnx import kernels


class SGD:
    """Stochastic gradient descent: value -= learning_rate * velocity, velocity = momentum * velocity + gradient.

    Source: Sutskever et al., "On the importance of initialization and momentum in deep learning", 2013,
    in the form that PyTorch uses.

    Args:
        momentum: how much of the last step goes into the next, at least 0 and less than 1.

    Raises:
        ValueError: momentum is none of these.
    """

    def __init__(self, momentum=0.0):
        if not isinstance(momentum, (int, float)) or not 0 <= momentum < 1:
            raise ValueError(f'momentum: expected a number of at least 0 and less than 1, got {momentum!r}')
        self.momentum = float(momentum)
        self._velocity = {}

    def settings(self):
        """Return the constructor's arguments as JSON can hold them."""
        return {'momentum': self.momentum}

    def update(self, parameters, learning_rate):
        """Take one step.

        Args:
            parameters: names and their `Parameter` objects, gradients written.
            learning_rate: the step's size.
        """
        sgd_update = kernels.current().sgd_update
        for name, parameter in parameters.items():
            if not parameter.trainable:
                continue
            if name not in self._velocity:
                self._velocity[name] = np.zeros_like(parameter.value)
            value, grad, velocity = parameter.value, parameter.grad, self._velocity[name]
            threads = kernels.threads_for(value.size)
            sgd_update(value.reshape(-1), grad.reshape(-1), velocity.reshape(-1), learning_rate, self.momentum, threads)

    def state(self):
        """Return what the optimizer remembers between steps: arrays by name."""
        return {f'velocity_{name}': velocity for name, velocity in self._velocity.items()}

    def restore(self, arrays, parameters):
        """Take over the state that is among `arrays`, for these parameters.

        Raises:
            ValueError: an array is missing, or its shape is not its parameter's.
        """
        velocities = {}
        for name, parameter in parameters.items():
            if not parameter.trainable:
                continue
            if f'velocity_{name}' not in arrays:
                raise ValueError(f'velocity_{name}: expected shape {parameter.value.shape}, found none')
            array = arrays[f'velocity_{name}']
            if array.shape != parameter.value.shape:
                raise ValueError(f'velocity_{name}: expected shape {parameter.value.shape}, got {array.shape}')
            velocities[name] = np.array(array, parameter.value.dtype, order='C')
        self._velocity = velocities


OPTIMIZERS = {kind.__name__: kind for kind in (SGD,)}
