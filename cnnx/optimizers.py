"""How gradients change parameters. Optimizers know `Parameter` objects and nothing else.

What an optimizer remembers of a parameter between steps is kept with the parameter, in `state`, under the
optimizer's `state_names`.
"""

import numpy as np

from cnnx import kernels
from cnnx.arrays import non_negative

# An update reads and writes memory more than it computes: a number costs as much as so many multiply-adds.
WORK_OF_UPDATE = 16


class Optimizer:
    """What optimizers share.

    A kind of optimizer names what it remembers of a parameter in `state_names`, and defines `step`.
    """

    state_names = ()

    def settings(self):
        """Return the constructor's arguments as JSON can hold them."""
        return {}

    def update(self, parameters, learning_rate):
        """Take one step.

        Args:
            parameters: `Parameter` objects, gradients written; those that are not trainable stay as they are.
            learning_rate: the step's size.
        """
        self.prepare(parameters)(learning_rate)

    def prepare(self, parameters, work=0):
        """Return an `Update`, which does what `update` does, for many steps.

        It holds on to the arrays of the parameters and of what is remembered of them.

        Args:
            parameters: as for `update`.
            work: multiply-adds of a step. Threads that share those are awake, and have their part of the
                gradients in the cache.
        """
        rows = [
            tuple(array.reshape(-1) for array in (parameter.value, parameter.grad, *self._memory(parameter)))
            for parameter in parameters
            if parameter.trainable
        ]
        return Update(self, kernels.current().ArrayTable(rows), work)

    def step(self, table, learning_rate, threads):
        """Change all values of a table with rows (value, gradient, *what is remembered)."""
        raise NotImplementedError

    def _memory(self, parameter):
        for name in self.state_names:
            if name not in parameter.state:
                parameter.state[name] = np.zeros_like(parameter.value)
            yield parameter.state[name]


class Update:
    """An optimizer's step over arrays that were looked up once: a function of the learning rate."""

    def __init__(self, optimizer, table, work):
        self._optimizer = optimizer
        self._table = table
        self._work = max(work, WORK_OF_UPDATE * table.size)

    def __call__(self, learning_rate):
        self._optimizer.step(self._table, learning_rate, self._threads())

    def gradients_are_finite(self):
        """Return whether no gradient is NaN or infinite."""
        return self._table.size == 0 or kernels.current().all_finite(self._table, 1, self._threads())

    def _threads(self):
        return kernels.threads_for(self._work, kernels.SERIAL_STEP_WORK)


class SGD(Optimizer):
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
        return {'momentum': self.momentum}

    def step(self, table, learning_rate, threads):
        kernels.current().sgd_update(table, learning_rate, self.momentum, threads)


OPTIMIZERS = {kind.__name__: kind for kind in (SGD,)}
