"""Learning rates: functions of how many steps are taken, how many there will be, and in how many epochs."""

import math

from cnnx._util.representation import Configurable
from cnnx._util.validation import MAX_SIZE, function_of, is_whole, non_negative, positive, positive_int, whole_number


class Schedule(Configurable):
    """What schedules share.

    A kind of schedule defines `__call__`, and keeps its arguments in attributes of their names. All but
    `ReduceOnPlateau` give the same rate for the same step, whatever came before it. One that learns from figures
    tells what it has learned in `state`; a run begins with `restore({})`, which forgets it, so that a schedule can
    serve one run after another.
    """

    def __call__(self, step, steps, epochs):
        """Return the rate of a step.

        Args:
            step: how many steps are done, from 0; may lie between two whole numbers.
            steps: of the whole run.
            epochs: of the whole run; each has steps / epochs steps.
        """
        raise NotImplementedError

    def check(self, epochs, figures):
        """Raise a ValueError if it cannot serve a run of so many epochs, whose figures have these names."""

    def observe(self, figures):
        """Take note of what an epoch came to: 'loss' and so on, as `cnnx.History` has them."""

    def state(self):
        """Return what it has learned, as JSON can hold it: what checkpoints save, within epochs as well."""
        return {}

    def restore(self, state):
        """Go on from what `state` gave; from {} as if it had learned nothing.

        Raises:
            LookupError, TypeError, ValueError: it is no such state; nothing is changed then.
        """


class Constant(Schedule):
    """The same rate at every step.

    Raises:
        ValueError: the rate is not a number of at least 0.
    """

    def __init__(self, learning_rate):
        self.learning_rate = non_negative(learning_rate, 'learning_rate')

    def __call__(self, step, steps, epochs):
        return self.learning_rate


class StepDecay(Schedule):
    """A rate that falls in steps: initial * factor ** (epochs done // every).

    `StepLR` in PyTorch, called once an epoch.

    Args:
        initial: the rate of the first epochs.
        factor: what is left of it, more than 0 and less than 1.
        every: after how many epochs it falls.

    Raises:
        ValueError: an argument is none of these.
    """

    def __init__(self, initial, factor=0.1, every=10):
        self.initial = non_negative(initial, 'initial')
        self.factor = positive(factor, 'factor', below=1)
        self.every = positive_int(every, 'every')

    def __call__(self, step, steps, epochs):
        # A whole number of epochs is divided without rounding.
        return self.initial * self.factor ** (step * epochs // steps // self.every)


class Exponential(Schedule):
    """A rate that falls after every epoch: initial * factor ** epochs done.

    It stays the same within an epoch: `ExponentialLR` in PyTorch, called once an epoch, and `ExponentialDecay` in
    Keras with staircase=True and decay_steps=the steps of an epoch.

    Args:
        initial: the rate of the first epoch.
        factor: what is left of it after each, more than 0 and less than 1.

    Raises:
        ValueError: an argument is none of these.
    """

    def __init__(self, initial, factor=0.9):
        self.initial = non_negative(initial, 'initial')
        self.factor = positive(factor, 'factor', below=1)

    def __call__(self, step, steps, epochs):
        return self.initial * self.factor ** (step * epochs // steps)


class Cosine(Schedule):
    """A rate that falls along half a cosine wave: final + (initial - final) (1 + cos(pi step / steps)) / 2.

    Large steps find the valley, small ones settle in it. `steps` are those of the whole run, so a run that is
    resumed with more epochs than it began with takes up another curve.

    With a warm-up of w steps, the rate first rises in a line, initial (step + 1) / (w + 1), so that the first step
    is not 0 long; the wave covers the other steps.

    Source: Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts", 2017, equation 5;
    Goyal et al., "Accurate, large minibatch SGD: training ImageNet in 1 hour", 2017, for the warm-up.

    Args:
        initial: the rate at the first step, or at the end of the warm-up.
        final: the rate that it approaches.
        warmup: how many epochs the warm-up takes, or which part of one.

    Raises:
        ValueError: one is not a number of at least 0.
    """

    def __init__(self, initial, final=0.0, warmup=0):
        self.initial = non_negative(initial, 'initial')
        self.final = non_negative(final, 'final')
        self.warmup = non_negative(warmup, 'warmup')

    def __call__(self, step, steps, epochs):
        rising = self.warmup * steps / epochs
        if step < rising:
            return self.initial * (step + 1) / (rising + 1)
        return _along_cosine(self.initial, self.final, step - rising, steps - rising)

    def check(self, epochs, figures):
        if self.warmup >= epochs:
            raise ValueError(f'warmup: expected less than the epochs of the run, {epochs}, got {self.warmup:g}')


class OneCycle(Schedule):
    """A rate that rises along half a cosine wave, and falls along another to far below where it began.

    High rates in the middle of a run keep it out of narrow valleys; a run may need fewer epochs so. The rates are
    those of `OneCycleLR` in PyTorch with anneal_strategy='cos'; its momentum, which falls while the rate rises, has
    no counterpart here.

    Source: Smith and Topin, "Super-convergence: very fast training of neural networks using large learning rates",
    2018.

    Args:
        maximum: the highest rate.
        initial_factor: the first rate is maximum / initial_factor; at least 1.
        final_factor: the last rate is the first / final_factor; at least 1.
        rise: the part of the run in which the rate rises, more than 0 and less than 1.

    Raises:
        ValueError: an argument is none of these.
    """

    def __init__(self, maximum, initial_factor=25, final_factor=1e4, rise=0.3):
        self.maximum = non_negative(maximum, 'maximum')
        self.initial_factor = _at_least_1(initial_factor, 'initial_factor')
        self.final_factor = _at_least_1(final_factor, 'final_factor')
        self.rise = positive(rise, 'rise', below=1)

    def __call__(self, step, steps, epochs):
        first = self.maximum / self.initial_factor
        # The last step, number steps - 1, has the last rate, and step number `top` the highest.
        top = self.rise * steps - 1
        if step < top:
            return _along_cosine(first, self.maximum, step, top)
        return _along_cosine(self.maximum, first / self.final_factor, min(step, steps - 1) - top, steps - 1 - top)


class ReduceOnPlateau(Schedule):
    """A rate that is reduced when a figure has stopped getting better: max(initial * factor ** times, minimum).

    `ReduceLROnPlateau` of Keras and PyTorch. Where they differ: `patience` counts as in Keras (PyTorch's 9 is 10
    here), `threshold` is relative and `cooldown` counts whole epochs, as in PyTorch.

    Args:
        initial: the first rate.
        factor: what is left of it after each reduction, more than 0 and less than 1.
        patience: after so many epochs in a row without a better figure the rate is reduced.
        monitor: the figure's name; accuracies are better when larger, all others when smaller. NaN is never better.
        threshold: a figure is better if it beats the best by more than this share of it.
        cooldown: so many epochs after a reduction are not counted as without a better figure.
        minimum: the rate does not fall below this.

    Raises:
        ValueError: an argument is none of these, or, when a run begins, it has no figure of that name.
    """

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

    def check(self, epochs, figures):
        check_monitored(self.monitor, figures)

    def observe(self, figures):
        figure = figures[self.monitor]
        if is_better(self.monitor, figure, self._best, share=self.threshold):
            self._best, self._waited = float(figure), 0
        else:
            self._waited += 1
        if self._resting:
            self._resting -= 1
            self._waited = 0
        if self._waited >= self.patience:
            self._times, self._waited, self._resting = self._times + 1, 0, self.cooldown

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
        # The best of another figure is no measure of this one.
        comparable = state and state['monitor'] == self.monitor and state['best'] is not None
        self._best = float(state['best']) if comparable else None
        self._times, self._waited, self._resting = counts


class Custom(Schedule):
    """A rate by a function of the user's own.

    Args:
        function: takes step and steps, as schedules do, and returns the rate; it must have no memory, or a run
            that is resumed goes on differently.

    Raises:
        ValueError: it cannot be called, or, at a step, gives something else than a number of at least 0.
    """

    def __init__(self, function):
        self.function = function_of(function, 'learning_rate', 'step', 'steps')

    def __call__(self, step, steps, epochs):
        return non_negative(self.function(step, steps), f'learning_rate: at step {step} of {steps}')

    def settings(self):
        return {'function': getattr(self.function, '__qualname__', type(self.function).__name__)}


SCHEDULES = (Constant, StepDecay, Exponential, Cosine, OneCycle, ReduceOnPlateau)


def as_schedule(learning_rate):
    """Return a schedule as it is, a number as a constant one, and a function of (step, steps) as a `Custom` one.

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


def _along_cosine(start, end, done, length):
    """Return the rate on the way from start to end, along half a cosine wave, after `done` of its length."""
    return end + (start - end) * (1 + math.cos(math.pi * done / length)) / 2


def _at_least_1(value, name):
    number = non_negative(value, name)
    if number < 1:
        raise ValueError(f'{name}: expected a number of at least 1, got {value!r}')
    return number


def checked_monitor(name):
    """Return the name of a figure, or raise a ValueError if it is none."""
    if not isinstance(name, str) or not name:
        raise ValueError(f"monitor: expected the name of a figure, such as 'val_loss', got {name!r}")
    return name


def check_monitored(name, figures):
    """Raise a ValueError if a run whose figures have these names has no such one."""
    if name not in figures:
        validates = any(figure.startswith('val_') for figure in figures)
        missing = ', or give validation_data' if name.startswith('val_') and not validates else ''
        raise ValueError(f'monitor: expected one of {", ".join(figures)}{missing}, got {name!r}')


def is_better(name, figure, best, share=0.0, margin=0.0):
    """Whether a figure beats the best so far: accuracies when larger, all others when smaller, NaN never.

    Args:
        name: the figure's.
        figure, best: numbers; best is None at first.
        share, margin: by more than this share of the best, and more than this.
    """
    if best is None:
        return math.isfinite(figure)
    if 'accuracy' in name:
        return figure > best * (1 + share) + margin
    return figure < best * (1 - share) - margin
