"""How gradients change parameters. Optimizers know `Parameter` objects and nothing else.

What an optimizer remembers of a parameter between steps is kept with the parameter: arrays in `state`, under the
optimizer's `state_names`, and the number of steps in `updates`.
"""

import math

import numpy as np

from cnnx import kernels
from cnnx._util.representation import Shown
from cnnx._util.validation import non_negative, positive, true_or_false

# All kinds: what cnnx exports, files are loaded by, and `as_optimizer` knows.
__all__ = ['SGD', 'Adagrad', 'Adam', 'AdamW', 'RMSprop']

# An update reads and writes memory more than it computes: a number costs as much as so many multiply-adds.
WORK_OF_UPDATE = 16
# As PyTorch has it, so that a gradient of 0 is not divided by 0.
NORM_EPSILON = 1e-6


class Optimizer(Shown):
    """What optimizers share.

    A kind of optimizer names what it remembers of a parameter in `state_names`, its constructor's arguments in
    `settings`, and defines `step`. In the formulas of the kinds, slope = scale gradient + weight_decay value.

    Args:
        weight_decay: how much of a value is added to its gradient, which draws values towards 0; at least 0.
        clip_norm: the largest 2-norm of all gradients together, more than 0: where theirs is larger, they are
            multiplied by scale = clip_norm / (norm + 1e-6), before weight decay; None for any norm.

    Raises:
        ValueError: an argument is none of these.

    Attributes:
        usual_learning_rate: what `Network.train` takes where it is given none.
    """

    state_names = ()
    usual_learning_rate = 0.01

    def __new__(cls, *arguments, **settings):
        if arguments or {'learning_rate', 'lr'} & settings.keys():
            raise TypeError(
                f'{cls.__name__}: expected arguments by name, such as weight_decay=0.01, and no learning rate; '
                'that goes to train(learning_rate=...)'
            )
        return super().__new__(cls)

    def __init__(self, weight_decay, clip_norm):
        self.weight_decay = non_negative(weight_decay, 'weight_decay')
        self.clip_norm = None if clip_norm is None else positive(clip_norm, 'clip_norm')

    def _no_learning_rate(self, *value):
        raise AttributeError(f'{type(self).__name__}: has no learning_rate; it goes to train(learning_rate=...)')

    learning_rate = property(_no_learning_rate, _no_learning_rate)

    def settings(self):
        """Return the constructor's arguments as JSON can hold them."""
        return {'weight_decay': self.weight_decay, 'clip_norm': self.clip_norm}

    def update(self, parameters, learning_rate):
        """Take one step.

        Args:
            parameters: any iterable of `Parameter` objects, gradients written; frozen ones stay as they are.
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
        parameters = [parameter for parameter in parameters if parameter.learns]
        rows = [
            tuple(array.reshape(-1) for array in (parameter.value, parameter.grad, *self._memory(parameter)))
            for parameter in parameters
        ]
        return Update(self, parameters, rows, work)

    def step(self, table, parameters, learning_rate, scale, threads):
        """Change all values of a table with rows (value, gradient, *what is remembered).

        Args:
            table: an `ArrayTable`.
            parameters: those of the rows; this step is not among their `updates` yet.
            learning_rate: the step's size.
            scale: what gradients are to be multiplied by.
            threads: how many share the work.
        """
        raise NotImplementedError

    def _memory(self, parameter):
        for name in self.state_names:
            if name not in parameter.state:
                parameter.state[name], parameter.updates = np.zeros_like(parameter.value), 0
            yield parameter.state[name]


class Update:
    """An optimizer's step over arrays that were looked up once: a function of the learning rate."""

    def __init__(self, optimizer, parameters, rows, work):
        self._optimizer = optimizer
        self._parameters = parameters
        self._kernels = kernels.current()
        self._table = self._kernels.ArrayTable(rows)
        self._threads = kernels.threads_for(max(work, WORK_OF_UPDATE * self._table.size), kernels.SERIAL_STEP_WORK)
        self._norm = None

    def __call__(self, learning_rate):
        if self._table.size == 0:
            return
        scale = 1.0 if self._optimizer.clip_norm is None else self._scale()
        self._optimizer.step(self._table, self._parameters, learning_rate, scale, self._threads)
        for parameter in self._parameters:
            parameter.updates += 1

    def gradients_are_finite(self):
        """Return whether no gradient is NaN or infinite.

        The next step is to be of these gradients: where it needs their norm, that is found here already.
        """
        if self._table.size == 0:
            return True
        if self._optimizer.clip_norm is not None:
            self._norm = self._gradient_norm()
            if math.isfinite(self._norm):
                return True  # while squares of float64 may overflow where no number is infinite
        return self._kernels.all_finite(self._table, 1, self._threads)

    def _scale(self):
        limit = self._optimizer.clip_norm
        norm = self._gradient_norm() if self._norm is None else self._norm
        self._norm = None
        return limit / (norm + NORM_EPSILON) if norm + NORM_EPSILON > limit else 1.0

    def _gradient_norm(self):
        return math.sqrt(self._kernels.sum_of_squares(self._table, 1, self._threads))


class SGD(Optimizer):
    """Stochastic gradient descent: value -= learning_rate * velocity, velocity = momentum * velocity + slope.

    With nesterov, value -= learning_rate * (slope + momentum * velocity): the slope counts as if the next step
    along the velocity had been taken already.

    Source: Sutskever et al., "On the importance of initialization and momentum in deep learning", 2013,
    in the form that PyTorch uses.

    Args:
        momentum: how much of the last step goes into the next, at least 0 and less than 1.
        nesterov: look ahead along the velocity; needs momentum.
        weight_decay, clip_norm: as `Optimizer` tells.

    Raises:
        ValueError: an argument is none of these.
    """

    def __init__(self, *, momentum=0.0, nesterov=False, weight_decay=0.0, clip_norm=None):
        super().__init__(weight_decay, clip_norm)
        self.momentum = non_negative(momentum, 'momentum', below=1)
        self.nesterov = true_or_false(nesterov, 'nesterov')
        if self.nesterov and not self.momentum:
            raise ValueError('nesterov: needs a momentum of more than 0, such as 0.9')

    @property
    def state_names(self):
        return ('velocity',) if self.momentum else ()

    def settings(self):
        return {'momentum': self.momentum, 'nesterov': self.nesterov, **super().settings()}

    def step(self, table, parameters, learning_rate, scale, threads):
        kernels.current().sgd_update(
            table, learning_rate, self.momentum, self.nesterov, self.weight_decay, scale, threads
        )


class Adam(Optimizer):
    """Steps of about one size for every number: its average slope, divided by the root of its mean square.

    average = beta_1 * average + (1 - beta_1) * slope
    square_average = beta_2 * square_average + (1 - beta_2) * slope^2
    value -= learning_rate * (average / (1 - beta_1^t)) / (sqrt(square_average / (1 - beta_2^t)) + epsilon)

    t counts the updates of the parameter, from 1: averages that begin at 0 are too small at first.

    Source: Kingma and Ba, "Adam: a method for stochastic optimization", 2015, algorithm 1.

    Args:
        beta_1: how much of the average stays from step to step, at least 0 and less than 1.
        beta_2: how much of that of the squares stays, likewise.
        epsilon: keeps the divisor from 0; more than 0.
        weight_decay, clip_norm: as `Optimizer` tells.

    Raises:
        ValueError: an argument is none of these.
    """

    state_names = ('average', 'square_average')
    usual_learning_rate = 0.001
    decoupled = False

    def __init__(self, *, beta_1=0.9, beta_2=0.999, epsilon=1e-8, weight_decay=0.0, clip_norm=None):
        super().__init__(weight_decay, clip_norm)
        self.beta_1 = non_negative(beta_1, 'beta_1', below=1)
        self.beta_2 = non_negative(beta_2, 'beta_2', below=1)
        self.epsilon = positive(epsilon, 'epsilon')

    def settings(self):
        return {'beta_1': self.beta_1, 'beta_2': self.beta_2, 'epsilon': self.epsilon, **super().settings()}

    def step(self, table, parameters, learning_rate, scale, threads):
        kernels.current().adam_update(
            table,
            np.array([parameter.updates + 1 for parameter in parameters], np.int64),
            learning_rate,
            self.beta_1,
            self.beta_2,
            self.epsilon,
            self.weight_decay,
            self.decoupled,
            scale,
            threads,
        )


class AdamW(Adam):
    """Adam with weight decay apart from the slope: value *= 1 - learning_rate * weight_decay before each step.

    As a part of the slope, decay is divided by the root as well, and so draws least at the numbers whose
    gradients are large; here it draws at all alike.

    Source: Loshchilov and Hutter, "Decoupled weight decay regularization", 2019, algorithm 2, in the form that
    PyTorch uses.

    Args:
        beta_1, beta_2, epsilon: as for `Adam`.
        weight_decay: how much of a value goes at each step, times the learning rate; at least 0.
        clip_norm: as `Optimizer` tells.

    Raises:
        ValueError: an argument is none of these.
    """

    decoupled = True

    def __init__(self, *, beta_1=0.9, beta_2=0.999, epsilon=1e-8, weight_decay=0.01, clip_norm=None):
        super().__init__(beta_1=beta_1, beta_2=beta_2, epsilon=epsilon, weight_decay=weight_decay, clip_norm=clip_norm)


class RMSprop(Optimizer):
    """Slopes divided by the root of their mean square: value -= learning_rate * velocity.

    square_average = rho * square_average + (1 - rho) * slope^2
    velocity = momentum * velocity + slope / (sqrt(square_average) + epsilon)

    Source: Tieleman and Hinton, "Lecture 6.5: RMSProp", COURSERA: Neural Networks for Machine Learning, 2012, in
    the form that PyTorch uses.

    Args:
        rho: how much of the average stays from step to step, at least 0 and less than 1.
        epsilon: keeps the divisor from 0; more than 0.
        momentum: how much of the last step goes into the next, at least 0 and less than 1.
        weight_decay, clip_norm: as `Optimizer` tells.

    Raises:
        ValueError: an argument is none of these.
    """

    usual_learning_rate = 0.001

    def __init__(self, *, rho=0.99, epsilon=1e-8, momentum=0.0, weight_decay=0.0, clip_norm=None):
        super().__init__(weight_decay, clip_norm)
        self.rho = non_negative(rho, 'rho', below=1)
        self.epsilon = positive(epsilon, 'epsilon')
        self.momentum = non_negative(momentum, 'momentum', below=1)

    @property
    def state_names(self):
        return ('square_average', 'velocity') if self.momentum else ('square_average',)

    def settings(self):
        return {'rho': self.rho, 'epsilon': self.epsilon, 'momentum': self.momentum, **super().settings()}

    def step(self, table, parameters, learning_rate, scale, threads):
        kernels.current().rmsprop_update(
            table, learning_rate, self.rho, self.epsilon, self.momentum, self.weight_decay, scale, threads
        )


class Adagrad(Optimizer):
    """Slopes divided by the root of the sum of their squares: steps shrink, least where slopes are rare.

    square_sum += slope^2; value -= learning_rate * slope / (sqrt(square_sum) + epsilon)

    Source: Duchi, Hazan and Singer, "Adaptive subgradient methods for online learning and stochastic
    optimization", 2011, in the form that PyTorch uses.

    Args:
        epsilon: keeps the divisor from 0; more than 0.
        weight_decay, clip_norm: as `Optimizer` tells.

    Raises:
        ValueError: an argument is none of these.
    """

    state_names = ('square_sum',)

    def __init__(self, *, epsilon=1e-10, weight_decay=0.0, clip_norm=None):
        super().__init__(weight_decay, clip_norm)
        self.epsilon = positive(epsilon, 'epsilon')

    def settings(self):
        return {'epsilon': self.epsilon, **super().settings()}

    def step(self, table, parameters, learning_rate, scale, threads):
        kernels.current().adagrad_update(table, learning_rate, self.epsilon, self.weight_decay, scale, threads)


OPTIMIZERS = {name: globals()[name] for name in __all__}


def as_optimizer(optimizer):
    """Return an optimizer as it is, and for the name of a kind, however it is written, one with its defaults.

    Raises:
        TypeError: it is neither.
        ValueError: there is no kind of that name.
    """
    if isinstance(optimizer, str):
        kinds = {name.lower(): kind for name, kind in OPTIMIZERS.items()}
        if optimizer.lower() not in kinds:
            raise ValueError(f'optimizer: expected one of {", ".join(map(repr, kinds))}, got {optimizer!r}')
        return kinds[optimizer.lower()]()
    if isinstance(optimizer, type) and issubclass(optimizer, Optimizer):
        raise TypeError(f'optimizer: {optimizer.__name__} is a class; call it: {optimizer.__name__}()')
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f'expected an optimizer such as SGD(momentum=0.9), or the name of one, got {optimizer!r}')
    return optimizer
