"""Losses of quantities: mean squared error, mean absolute error, Huber."""

import numpy as np

from cnnx._util.arrays import as_numbers, in_chunks
from cnnx._util.validation import positive
from cnnx.losses.base import Loss, mean_of, targets_like_outputs, weigh
from cnnx.losses.categorical import class_labels


class _OfDifferences(Loss):
    """The mean, over samples and outputs, of a function of prediction - target.

    A kind defines `_of`, which returns the losses and their derivatives of an array of differences.
    """

    def prepare(self, targets, output_shape, dtype, what='targets'):
        return targets_like_outputs(targets, output_shape, what)

    @np.errstate(over='ignore', invalid='ignore')
    def value_and_gradient(self, y, targets, sample_weight=None):
        y, targets, sample_weight = self._checked(y, targets, sample_weight)
        losses, gradient = self._of(np.subtract(y, targets, dtype=y.dtype))
        losses = losses.mean(axis=-1)
        return mean_of(losses, sample_weight, losses.size), weigh(gradient * (1 / y.size), sample_weight)

    def _of(self, difference):
        raise NotImplementedError


class MeanSquaredError(_OfDifferences):
    """The mean of (prediction - target)^2 over samples and outputs.

    Targets have the predictions' shape; where there is a single output, (N, ..., 1), (N, ...) will do, and class
    indices (N,) stand for one-hot rows where there are several outputs. Where all targets are 0 or 1, a prediction
    counts as right if its largest output is the target's, or, with a single output, if it lies on the target's side of
    1/2. Other targets have no accuracy. Targets keep their dtype, and are converted batch by batch: they may be mapped
    from a file.
    """

    def prepare(self, targets, output_shape, dtype, what='targets'):
        targets = as_numbers(targets, what)
        if targets.ndim == 1 and len(output_shape) == 1 and output_shape[0] > 1:
            return np.eye(output_shape[0], dtype=dtype)[class_labels(targets, output_shape[0], what)]
        return super().prepare(targets, output_shape, dtype, what)

    def measures_accuracy(self, targets):
        return targets.ndim == 2 and all(((rows == 0) | (rows == 1)).all() for _, rows in in_chunks(targets))

    def count_correct(self, y, targets):
        if y.shape[1] == 1:
            return int(((y > 0.5) == (targets > 0.5)).sum())
        return int((y.argmax(axis=1) == targets.argmax(axis=1)).sum())

    def _of(self, difference):
        return np.square(difference), 2 * difference


class MeanAbsoluteError(_OfDifferences):
    """The mean of |prediction - target| over samples and outputs: large errors count less than in the squared one.

    Shapes: predictions (N, ...), targets of the same shape; where there is a single output, (N, ..., 1), (N, ...) will
    do. Gradient: the sign of prediction - target, divided by the number of outputs of all samples; 0 where they are
    equal.
    """

    def _of(self, difference):
        return np.abs(difference), np.sign(difference)


class Huber(_OfDifferences):
    """The mean, over samples and outputs, of e^2 / 2 for errors |e| up to delta, and delta (|e| - delta / 2) beyond.

    Near the target it is as smooth as the squared error, and far from it as robust as the absolute one.

    Shapes: as of `MeanAbsoluteError`. Gradient: e, limited to -delta .. delta, divided by the number of outputs of all
    samples.

    Source: Huber, "Robust estimation of a location parameter", 1964.

    Args:
        delta: a finite number of more than 0.

    Raises:
        ValueError: delta is no such number.
    """

    adjustable = ('delta',)

    def __init__(self, delta=1.0):
        self.delta = positive(delta, 'delta')

    def _of(self, difference):
        gradient = np.clip(difference, -self.delta, self.delta)
        return gradient * (difference - gradient / 2), gradient
