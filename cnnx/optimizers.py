"""Optimizers: SGD, Adam, AdamW, RMSprop, Adagrad.

An optimizer updates `Parameter` objects. Its state, such as a velocity, is kept with each parameter: arrays in
`parameter.state`, under the names in the optimizer's `state_names`, and the number of steps in `parameter.updates`.
"""

import math

import numpy as np

from cnnx import kernels
from cnnx._util.foreign_names import OF_OPTIMIZER, OPTIMIZER_KEYWORDS
from cnnx._util.hints import Hinted, check_keywords
from cnnx._util.representation import ReprFromArguments, arguments_of
from cnnx._util.validation import non_negative, positive, true_or_false

# All optimizers: cnnx exports them, and loading a file and `as_optimizer` find them here.
__all__ = ['SGD', 'Adagrad', 'Adam', 'AdamW', 'RMSprop']

# An update is limited by memory: updating one number takes as long as so many multiply-adds.
WORK_OF_UPDATE = 16
# As in PyTorch, so that a gradient of 0 is not divided by 0.
NORM_EPSILON = 1e-6


class Optimizer(Hinted, ReprFromArguments):
    """Base class of optimizers.

    A subclass lists the names of its state in `state_names`, returns the arguments of its constructor from `settings`,
    and defines `step`. In the formulas below, g = scale gradient + weight_decay value.

    Args:
        weight_decay: this fraction of a value is added to its gradient, which draws values towards 0; at least 0.
        clip_norm: the largest 2-norm of all gradients together, more than 0. A larger norm is reduced: gradients are
            multiplied by scale = clip_norm / (norm + 1e-6), before weight decay. None does not clip.

    Raises:
        ValueError: an argument is out of its range.

    Attributes:
        usual_learning_rate: the learning rate of `Network.train` where none is given.
    """

    _elsewhere = OF_OPTIMIZER
    state_names = ()
    usual_learning_rate = 0.01

    def __new__(cls, *arguments, **settings):
        if arguments or {'learning_rate', 'lr'} & settings.keys():
            raise TypeError(
                f'{cls.__name__}: expected arguments by name, such as weight_decay=0.01, and no learning rate; '
                'that goes to train(learning_rate=...)'
            )
        check_keywords(cls, settings, OPTIMIZER_KEYWORDS)
        return super().__new__(cls)

    def __init__(self, weight_decay=0.0, clip_norm=None):
        self.weight_decay = non_negative(weight_decay, 'weight_decay')
        self.clip_norm = None if clip_norm is None else positive(clip_norm, 'clip_norm')

    def _no_learning_rate(self, *value):
        raise AttributeError(f'{type(self).__name__}: has no learning_rate; it goes to train(learning_rate=...)')

    learning_rate = lr = property(_no_learning_rate, _no_learning_rate)

    def settings(self):
        """Return the arguments of the constructor, by name, as values that JSON can hold."""
        return arguments_of(self)

    def update(self, parameters, learning_rate):
        """Take one step.

        Args:
            parameters: any iterable of `Parameter` objects, whose gradients are written; frozen ones stay the same.
            learning_rate: the size of the step.

        Raises:
            ValueError: the learning rate is no finite number of at least 0.
        """
        parameters = parameters.values() if isinstance(parameters, dict) else parameters
        self.prepare(parameters)(non_negative(learning_rate, 'learning_rate'))

    def prepare(self, parameters, work=0):
        """Return an `Update`, which does what `update` does and looks up arrays only once, for many steps.

        Args:
            parameters: as for `update`.
            work: multiply-adds of the passes before the update. Where these take several threads, the update takes
                them too: they are awake, and have their part of the gradients in the cache.
        """
        parameters = [parameter for parameter in parameters if parameter.learns]
        rows = [
            tuple(array.reshape(-1) for array in (parameter.value, parameter.grad, *self._state_arrays(parameter)))
            for parameter in parameters
        ]
        return Update(self, parameters, rows, work)

    def step(self, table, parameters, learning_rate, scale, threads):
        """Update all values, in place.

        An optimizer of your own loops over the parameters: it changes `parameter.value[...]` by `parameter.grad` and
        by `parameter.state[name]` for each of the `state_names`, arrays of the same shape that begin as zeros.

        Args:
            table: the same arrays as kernels read them, an `ArrayTable` with rows (value, gradient, *state arrays).
            parameters: a list; their `updates` do not count this step yet.
            learning_rate: the size of the step.
            scale: the factor that gradients are multiplied by.
            threads: the number of threads.
        """
        kind = type(self).__name__
        raise NotImplementedError(f'{kind}.step: define step(self, table, parameters, learning_rate, scale, threads)')

    def _state_arrays(self, parameter):
        for name in self.state_names:
            if name not in parameter.state:
                parameter.state[name], parameter.updates = np.zeros_like(parameter.value), 0
            yield parameter.state[name]


class Update:
    """The step of an optimizer, as a function of the learning rate, over arrays that are looked up once."""

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

        The next step must use the same gradients: where it clips, their norm is computed here and kept for it.
        """
        if self._table.size == 0:
            return True
        if self._optimizer.clip_norm is not None:
            norm = self._gradient_norm()
            if math.isfinite(norm):
                self._norm = norm
                return True  # a norm that overflows does not show that a gradient is infinite
        return self._kernels.all_finite(self._table, 1, self._threads)

    def _scale(self):
        limit = self._optimizer.clip_norm
        norm = self._gradient_norm() if self._norm is None else self._norm
        self._norm = None
        return limit / (norm + NORM_EPSILON) if norm + NORM_EPSILON > limit else 1.0

    def _gradient_norm(self):
        return math.sqrt(self._kernels.sum_of_squares(self._table, 1, self._threads))


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum or Nesterov momentum.

    velocity = momentum * velocity + g
    value -= learning_rate * velocity

    With nesterov, value -= learning_rate * (g + momentum * velocity).
    g = scale gradient + weight_decay value; see `Optimizer`.

    Source: Sutskever et al., "On the importance of initialization and momentum in deep learning", 2013,
    in the form that PyTorch uses.

    Args:
        momentum: the fraction of the velocity that is kept from step to step, at least 0 and less than 1.
        nesterov: use Nesterov momentum; needs a momentum of more than 0.
        weight_decay, clip_norm: see `Optimizer`.

    Raises:
        ValueError: an argument is out of its range.
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

    def step(self, table, parameters, learning_rate, scale, threads):
        kernels.current().sgd_update(
            table, learning_rate, self.momentum, self.nesterov, self.weight_decay, scale, threads
        )


class Adam(Optimizer):
    """Adam: moving average of gradients, divided by the root of the moving average of their squares.

    average = beta_1 * average + (1 - beta_1) * g
    square_average = beta_2 * square_average + (1 - beta_2) * g^2
    value -= learning_rate * (average / (1 - beta_1^t)) / (sqrt(square_average / (1 - beta_2^t)) + epsilon)

    g = scale gradient + weight_decay value; see `Optimizer`. t counts the updates of the parameter, from 1; the
    divisors 1 - beta^t correct the bias of averages that begin at 0.

    Source: Kingma and Ba, "Adam: a method for stochastic optimization", 2015, algorithm 1.

    Args:
        beta_1: the decay rate of the average of gradients, at least 0 and less than 1.
        beta_2: the decay rate of the average of their squares, at least 0 and less than 1.
        epsilon: added to the root, so that nothing is divided by 0; more than 0.
        weight_decay, clip_norm: see `Optimizer`.

    Raises:
        ValueError: an argument is out of its range.
    """

    state_names = ('average', 'square_average')
    usual_learning_rate = 0.001
    decoupled = False

    def __init__(self, *, beta_1=0.9, beta_2=0.999, epsilon=1e-8, weight_decay=0.0, clip_norm=None):
        super().__init__(weight_decay, clip_norm)
        self.beta_1 = non_negative(beta_1, 'beta_1', below=1)
        self.beta_2 = non_negative(beta_2, 'beta_2', below=1)
        self.epsilon = positive(epsilon, 'epsilon')

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
    """Adam with decoupled weight decay: value *= 1 - learning_rate * weight_decay before each step.

    In `Adam`, weight decay is a part of the gradient and is divided by the root as well, so values with large
    gradients decay least. Here all values decay at the same rate.

    Source: Loshchilov and Hutter, "Decoupled weight decay regularization", 2019, algorithm 2, in the form that
    PyTorch uses.

    Args:
        beta_1, beta_2, epsilon: as for `Adam`.
        weight_decay: times the learning rate, the fraction of a value that each step removes; at least 0.
        clip_norm: see `Optimizer`.

    Raises:
        ValueError: an argument is out of its range.
    """

    decoupled = True

    def __init__(self, *, beta_1=0.9, beta_2=0.999, epsilon=1e-8, weight_decay=0.01, clip_norm=None):
        super().__init__(beta_1=beta_1, beta_2=beta_2, epsilon=epsilon, weight_decay=weight_decay, clip_norm=clip_norm)


class RMSprop(Optimizer):
    """RMSprop: gradients divided by the root of the moving average of their squares.

    square_average = rho * square_average + (1 - rho) * g^2
    velocity = momentum * velocity + g / (sqrt(square_average) + epsilon)
    value -= learning_rate * velocity

    g = scale gradient + weight_decay value; see `Optimizer`.

    Source: Tieleman and Hinton, "Lecture 6.5: RMSProp", COURSERA: Neural Networks for Machine Learning, 2012, in
    the form that PyTorch uses.

    Args:
        rho: the decay rate of the average of squares, at least 0 and less than 1.
        epsilon: added to the root, so that nothing is divided by 0; more than 0.
        momentum: the fraction of the velocity that is kept from step to step, at least 0 and less than 1.
        weight_decay, clip_norm: see `Optimizer`.

    Raises:
        ValueError: an argument is out of its range.
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

    def step(self, table, parameters, learning_rate, scale, threads):
        kernels.current().rmsprop_update(
            table, learning_rate, self.rho, self.epsilon, self.momentum, self.weight_decay, scale, threads
        )


class Adagrad(Optimizer):
    """Adagrad: gradients divided by the root of the sum of all their squares so far.

    square_sum += g^2
    value -= learning_rate * g / (sqrt(square_sum) + epsilon)

    g = scale gradient + weight_decay value; see `Optimizer`. Steps shrink over time, least for values whose gradients
    are mostly 0.

    Source: Duchi, Hazan and Singer, "Adaptive subgradient methods for online learning and stochastic
    optimization", 2011, in the form that PyTorch uses.

    Args:
        epsilon: added to the root, so that nothing is divided by 0; more than 0.
        weight_decay, clip_norm: see `Optimizer`.

    Raises:
        ValueError: an argument is out of its range.
    """

    state_names = ('square_sum',)

    def __init__(self, *, epsilon=1e-10, weight_decay=0.0, clip_norm=None):
        super().__init__(weight_decay, clip_norm)
        self.epsilon = positive(epsilon, 'epsilon')

    def step(self, table, parameters, learning_rate, scale, threads):
        kernels.current().adagrad_update(table, learning_rate, self.epsilon, self.weight_decay, scale, threads)


OPTIMIZERS = {name: globals()[name] for name in __all__}


def as_optimizer(optimizer):
    """Return an `Optimizer` as it is; for a name such as 'adam', in any case, a new one with default settings.

    Raises:
        TypeError: it is neither an optimizer nor a name.
        ValueError: no optimizer has that name.
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
    if not hasattr(optimizer, 'clip_norm'):
        raise TypeError(f'{type(optimizer).__name__}.__init__: call super().__init__() first')
    return optimizer
