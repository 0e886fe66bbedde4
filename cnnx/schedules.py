"""Learning-rate schedules: constant, step decay, exponential, cosine, one-cycle, reduce on plateau, custom."""

import math

from cnnx._util.foreign_names import SCHEDULE_KEYWORDS
from cnnx._util.hints import explain_names, explained, public_names
from cnnx._util.representation import Configurable
from cnnx._util.validation import MAX_SIZE, function_of, is_whole, non_negative, positive, positive_int, whole_number

__getattr__, __dir__ = explain_names(__name__), public_names(__name__)


class Schedule(Configurable):
    """Base class of learning-rate schedules.

    A subclass defines `__call__`, and keeps the arguments of its constructor in attributes of the same names.

    All schedules but `ReduceOnPlateau` depend on the step alone. One that depends on the metrics of epochs returns its
    state from `state`, which checkpoints save. A run begins with `restore({})`, which resets the state, so that the
    same schedule can be used for several runs.
    """

    def __call__(self, step, steps, epochs):
        """Return the learning rate of a step.

        Args:
            step: the number of steps done, from 0; may lie between two whole numbers.
            steps: the number of steps of the whole run.
            epochs: the number of epochs of the whole run; each has steps / epochs steps.
        """
        raise NotImplementedError

    def check(self, epochs, metrics):
        """Raise a ValueError if the schedule does not fit a run.

        Args:
            epochs: the number of epochs.
            metrics: the names of the metrics of an epoch, such as 'loss' and 'val_loss'.
        """

    def observe(self, metrics):
        """Update the state by the metrics of an epoch, {'loss': ..., 'val_loss': ...}, as in `cnnx.History`.

        Returns:
            A line to print about what has changed, or None.
        """

    def state(self):
        """Return the state as values that JSON can hold; checkpoints save it, within epochs as well."""
        return {}

    def restore(self, state):
        """Set the state to one that `state` returned, or for {} to that of a new schedule.

        Raises:
            LookupError, TypeError, ValueError: it is no such state; nothing is changed then.
        """


class Constant(Schedule):
    """The same rate at every step.

    Raises:
        ValueError: the rate is not a finite number of at least 0.
    """

    def __init__(self, learning_rate):
        self.learning_rate = non_negative(learning_rate, 'learning_rate')

    def __call__(self, step, steps, epochs):
        return self.learning_rate


class StepDecay(Schedule):
    """A rate that falls in steps: initial * factor ** (epochs done // every).

    The same as `StepLR` in PyTorch, called once an epoch.

    Args:
        initial: the rate of the first epochs, at least 0.
        factor: what the rate is multiplied by, more than 0 and less than 1.
        every: the number of epochs between two reductions, at least 1.

    Raises:
        ValueError: an argument is out of its range.
    """

    @explained(SCHEDULE_KEYWORDS)
    def __init__(self, initial, factor=0.1, every=10):
        self.initial = non_negative(initial, 'initial')
        self.factor = positive(factor, 'factor', below=1)
        self.every = positive_int(every, 'every')

    def __call__(self, step, steps, epochs):
        # A whole number of epochs is divided without rounding.
        return self.initial * self.factor ** (step * epochs // steps // self.every)


class Exponential(Schedule):
    """A rate that falls after every epoch: initial * factor ** epochs done.

    It is constant within an epoch. The same as `ExponentialLR` in PyTorch, called once an epoch, and as
    `ExponentialDecay` in Keras with staircase=True and decay_steps=the steps of an epoch.

    Args:
        initial: the rate of the first epoch, at least 0.
        factor: what the rate is multiplied by after each epoch, more than 0 and less than 1.

    Raises:
        ValueError: an argument is out of its range.
    """

    @explained(SCHEDULE_KEYWORDS)
    def __init__(self, initial, factor=0.9):
        self.initial = non_negative(initial, 'initial')
        self.factor = positive(factor, 'factor', below=1)

    def __call__(self, step, steps, epochs):
        return self.initial * self.factor ** (step * epochs // steps)


class Cosine(Schedule):
    """Cosine annealing: final + (initial - final) (1 + cos(pi step / steps)) / 2.

    `steps` is the number of steps of the whole run, so a run that is resumed with more epochs than it began with
    continues on another curve.

    With a warm-up of w steps, the rate first rises linearly, initial (step + 1) / (w + 1), so that the rate of the
    first step is not 0; the cosine curve covers the other steps.

    Source: Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts", 2017, equation 5;
    Goyal et al., "Accurate, large minibatch SGD: training ImageNet in 1 hour", 2017, for the warm-up.

    Args:
        initial: the rate at the first step, or at the end of the warm-up, at least 0.
        final: the rate that it approaches, at least 0.
        warmup: the length of the warm-up in epochs, at least 0; may be a fraction of an epoch.

    Raises:
        ValueError: an argument is out of its range, or, when a run begins, the warm-up is as long as the run.
    """

    @explained(SCHEDULE_KEYWORDS)
    def __init__(self, initial, final=0.0, warmup=0):
        self.initial = non_negative(initial, 'initial')
        self.final = non_negative(final, 'final')
        self.warmup = non_negative(warmup, 'warmup')

    def __call__(self, step, steps, epochs):
        warmup = self.warmup * steps / epochs
        if step < warmup:
            return self.initial * (step + 1) / (warmup + 1)
        return _cosine_between(self.initial, self.final, step - warmup, steps - warmup)

    def check(self, epochs, metrics):
        if self.warmup >= epochs:
            raise ValueError(f'warmup: expected less than the epochs of the run, {epochs}, got {self.warmup:g}')


class OneCycle(Schedule):
    """The one-cycle policy: the rate rises along a cosine curve, then falls along another to far below the first rate.

    High rates in the middle of a run can shorten training. The rates are those of `OneCycleLR` in PyTorch with
    anneal_strategy='cos' and cycle_momentum=False: the momentum stays as it is.

    Source: Smith and Topin, "Super-convergence: very fast training of neural networks using large learning rates",
    2018.

    Args:
        maximum: the highest rate.
        initial_factor: the first rate is maximum / initial_factor; at least 1.
        final_factor: the last rate is the first / final_factor; at least 1.
        rise: the fraction of the run in which the rate rises, more than 0 and less than 1.

    Raises:
        ValueError: an argument is out of its range.
    """

    @explained(SCHEDULE_KEYWORDS)
    def __init__(self, maximum, initial_factor=25, final_factor=1e4, rise=0.3):
        self.maximum = non_negative(maximum, 'maximum')
        self.initial_factor = _at_least_1(initial_factor, 'initial_factor')
        self.final_factor = _at_least_1(final_factor, 'final_factor')
        self.rise = positive(rise, 'rise', below=1)

    def __call__(self, step, steps, epochs):
        first = self.maximum / self.initial_factor
        # Step steps - 1, the last one, has the last rate, and step `top` the highest.
        top = self.rise * steps - 1
        if step < top:
            return _cosine_between(first, self.maximum, step, top)
        return _cosine_between(self.maximum, first / self.final_factor, min(step, steps - 1) - top, steps - 1 - top)


class ReduceOnPlateau(Schedule):
    """A rate that is reduced when a metric has stopped improving: max(initial * factor ** reductions, minimum).

    The same as `ReduceLROnPlateau` of Keras and PyTorch. Where these differ: `patience` counts as in Keras (PyTorch's
    9 is 10 here); `threshold` is relative and `cooldown` counts whole epochs, as in PyTorch.

    Args:
        initial: the first rate, at least 0.
        factor: what the rate is multiplied by at each reduction, more than 0 and less than 1.
        patience: the number of epochs without an improvement after which the rate is reduced, at least 1.
        monitor: the name of the metric. Accuracies improve when they grow, all other metrics when they fall; NaN is
            no improvement.
        threshold: the least improvement that counts, as a fraction of the best value so far, at least 0 and less
            than 1.
        cooldown: the number of epochs after a reduction that do not count towards patience, at least 0.
        minimum: the rate does not fall below this; at least 0 and at most `initial`.

    Raises:
        ValueError: an argument is out of its range, or, when a run begins, it has no metric of that name.
    """

    @explained(SCHEDULE_KEYWORDS)
    def __init__(self, initial, factor=0.1, patience=10, monitor='val_loss', threshold=1e-4, cooldown=0, minimum=0.0):
        self.initial = non_negative(initial, 'initial')
        self.factor = positive(factor, 'factor', below=1)
        self.patience = positive_int(patience, 'patience')
        self.monitor = checked_monitor(monitor)
        self.threshold = non_negative(threshold, 'threshold', below=1)
        self.cooldown = whole_number(cooldown, 'cooldown')
        self.minimum = non_negative(minimum, 'minimum')
        if self.minimum > self.initial:
            raise ValueError(f'minimum: expected at most the initial rate, {self.initial:g}, got {self.minimum:g}')
        self.restore({})

    def __call__(self, step, steps, epochs):
        return max(self.initial * self.factor**self._times, self.minimum)

    def check(self, epochs, metrics):
        check_monitored(self.monitor, metrics)

    def observe(self, metrics):
        value = metrics[self.monitor]
        if is_better(self.monitor, value, self._best, fraction=self.threshold):
            self._best, self._waited = float(value), 0
        else:
            self._waited += 1
        if self._resting:
            self._resting -= 1
            self._waited = 0
        if self._waited < self.patience:
            return None
        before = self(0, 1, 1)
        self._times, self._waited, self._resting = self._times + 1, 0, self.cooldown
        rate = self(0, 1, 1)
        return None if rate == before else f'ReduceOnPlateau: learning rate now {rate:g}, by {self.monitor}'

    def state(self):
        return {
            'monitor': self.monitor,
            'best': self._best,
            'times': self._times,
            'waited': self._waited,
            'resting': self._resting,
        }

    def restore(self, state):
        counts = [state[name] if state else 0 for name in ('times', 'waited', 'resting')]
        if not all(is_whole(count) and 0 <= count <= MAX_SIZE for count in counts):
            raise ValueError(f'schedule: expected counts from 0 to {MAX_SIZE}, got {counts}')
        # The best value of another metric says nothing about this one.
        comparable = state and state['monitor'] == self.monitor and state['best'] is not None
        self._best = float(state['best']) if comparable else None
        self._times, self._waited, self._resting = counts


class Custom(Schedule):
    """A rate that a function of the user computes.

    Args:
        function: takes (step, steps), as `Schedule.__call__` does, and returns the rate. It must depend on nothing
            else: checkpoints save no state of it, so a resumed run would continue with other rates.

    Raises:
        ValueError: it is not a function of two arguments, or, at a step, it does not return a number of at least 0.
    """

    def __init__(self, function):
        self.function = function_of(function, 'learning_rate', 'step', 'steps')

    def __call__(self, step, steps, epochs):
        return non_negative(self.function(step, steps), f'learning_rate: at step {step} of {steps}')

    def settings(self):
        return {'function': getattr(self.function, '__qualname__', type(self.function).__name__)}


SCHEDULES = (Constant, StepDecay, Exponential, Cosine, OneCycle, ReduceOnPlateau)


def as_schedule(learning_rate):
    """Return a schedule: a `Schedule` as it is, a number as `Constant`, a function of (step, steps) as `Custom`.

    Raises:
        ValueError: it is none of these.
    """
    if isinstance(learning_rate, Schedule):
        return learning_rate
    if callable(learning_rate) and not isinstance(learning_rate, type):
        return Custom(learning_rate)
    try:
        return Constant(learning_rate)
    except ValueError as error:
        kinds = ', '.join(kind.__name__ for kind in SCHEDULES)
        raise ValueError(f'{error}; or a schedule ({kinds}), or a function of (step, steps)') from None


def _cosine_between(start, end, done, length):
    """Return the value at `done` of `length` on half a cosine wave from start to end."""
    return end + (start - end) * (1 + math.cos(math.pi * done / length)) / 2


def _at_least_1(value, name):
    number = non_negative(value, name)
    if number < 1:
        raise ValueError(f'{name}: expected a number of at least 1, got {value!r}')
    return number


def checked_monitor(name):
    """Return the name of a metric, or raise a ValueError unless it is a non-empty string."""
    if not isinstance(name, str) or not name:
        raise ValueError(f"monitor: expected the name of a metric, such as 'val_loss', got {name!r}")
    return name


def check_monitored(name, metrics):
    """Raise a ValueError unless `name` is among the names of a run's metrics."""
    if name not in metrics:
        validates = any(metric.startswith('val_') for metric in metrics)
        missing = ', or give validation_data' if name.startswith('val_') and not validates else ''
        raise ValueError(f'monitor: expected one of {", ".join(metrics)}{missing}, got {name!r}')


def is_better(name, value, best, fraction=0.0, margin=0.0):
    """Return whether a metric has improved: accuracies when they grow, all others when they fall, NaN never.

    Args:
        name: the name of the metric.
        value: its value now.
        best: its best value so far; None at first.
        fraction: the least improvement that counts, as a fraction of `best`.
        margin: the least improvement that counts, added to that.
    """
    if best is None:
        return math.isfinite(value)
    if 'accuracy' in name:
        return value > best * (1 + fraction) + margin
    return value < best * (1 - fraction) - margin
