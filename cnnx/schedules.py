"""Learning rates: functions of how many steps are taken and how many there will be."""

import math

from cnnx.arrays import non_negative


class Constant:
    """The same rate at every step.

    Raises:
        ValueError: the rate is not a number of at least 0.
    """

    def __init__(self, learning_rate):
        self.learning_rate = non_negative(learning_rate, 'learning_rate')

    def __call__(self, step, steps):
        """Return the rate of step number `step`, from 0, of `steps` in all."""
        return self.learning_rate

    def settings(self):
        """Return the constructor's arguments as JSON can hold them."""
        return {'learning_rate': self.learning_rate}


class Cosine:
    """A rate that falls along half a cosine wave: final + (initial - final) (1 + cos(pi step / steps)) / 2.

    Large steps find the valley, small ones settle in it. `steps` are those of the whole run, so a run that is
    resumed with more epochs than it began with takes up another curve.

    Source: Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts", 2017, equation 5.

    Args:
        initial: the rate at the first step.
        final: the rate that it approaches.

    Raises:
        ValueError: a rate is not a number of at least 0.
    """

    def __init__(self, initial, final=0.0):
        self.initial = non_negative(initial, 'initial')
        self.final = non_negative(final, 'final')

    def __call__(self, step, steps):
        """Return the rate of step number `step`, from 0, of `steps` in all."""
        return self.final + (self.initial - self.final) * (1 + math.cos(math.pi * step / steps)) / 2

    def settings(self):
        """Return the constructor's arguments as JSON can hold them."""
        return {'initial': self.initial, 'final': self.final}


SCHEDULES = (Constant, Cosine)


def as_schedule(learning_rate):
    """Return a schedule as it is, and a number as a constant one."""
    return learning_rate if isinstance(learning_rate, SCHEDULES) else Constant(learning_rate)
