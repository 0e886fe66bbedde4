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

    def __init__(self):
        self._prepared = (None, None, None)

    def __getstate__(self):
        return {**vars(self), '_prepared': (None, None, None)}

    def settings(self):
        """Return the constructor's arguments as JSON can hold them."""
        return {}

    def update(self, parameters, learning_rate):
        """Take one step.

        Args:
            parameters: `Parameter` objects, gradients written; those that are not trainable stay as they are.
            learning_rate: the step's size.
        """
        table = self._table([parameter for parameter in parameters if parameter.trainable])
        self.step(table, learning_rate, kernels.threads_for(WORK_OF_UPDATE * table.size))

    def step(self, table, learning_rate, threads):
        """Change all values of a table with rows (value, gradient, *what is remembered)."""
        raise NotImplementedError

    def _table(self, parameters):
        """Return the arrays of these parameters, as kernels take them; the latest ones are kept at hand."""
        backend, memory = kernels.current(), [parameter.state for parameter in parameters]
        for parameter, state in zip(parameters, memory, strict=True):
            for name in self.state_names:
                if name not in state:
                    state[name] = np.zeros_like(parameter.value)
        states = [state[name] for state in memory for name in self.state_names]
        key = [backend, *map(id, parameters), *map(id, states)]
        # Read and set in one go: networks that share an optimizer may train side by side.
        prepared = self._prepared
        if prepared[0] != key:
            rows = [
                tuple(array.reshape(-1) for array in (parameter.value, parameter.grad, *map(state.get, self.state_names)))
                for parameter, state in zip(parameters, memory, strict=True)
            ]
            self._prepared = prepared = key, backend.ArrayTable(rows), (parameters, states)
        return prepared[1]


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
        super().__init__()
        self.momentum = non_negative(momentum, 'momentum', below=1)

    def settings(self):
        return {'momentum': self.momentum}

    def step(self, table, learning_rate, threads):
        kernels.current().sgd_update(table, learning_rate, self.momentum, threads)


OPTIMIZERS = {kind.__name__: kind for kind in (SGD,)}
