"""Metrics of numbers, output by output: binary accuracy, mean absolute error, coefficient of determination R^2."""

import numpy as np

from cnnx._util.arrays import as_numbers
from cnnx._util.validation import is_number
from cnnx.losses.base import targets_like_outputs
from cnnx.metrics.base import Metric, ratio


class NumberMetric(Metric):
    """Base class of metrics that compare each output to the number that it should be.

    A subclass defines `name`, `_reset`, `_add` and `_result`.
    """

    def __init__(self):
        self.reset()

    def reset(self):
        """Set all counts to 0."""
        self._count = 0
        self._reset()

    def update(self, predictions, targets):
        """Add a batch to the counts.

        Args:
            predictions: outputs (N, ...).
            targets: of the same shape; where that is (N, ..., 1), (N, ...) will do.

        Raises:
            ValueError: the shapes differ. Nothing is counted then.
        """
        predictions = as_numbers(predictions, f'{self.name}: predictions')
        if predictions.ndim < 2:
            raise ValueError(f'{self.name}: predictions: expected (N, outputs), got {predictions.shape}')
        targets = targets_like_outputs(targets, predictions.shape[1:], f'{self.name}: targets')
        if len(targets) != len(predictions):
            raise ValueError(f'{self.name}: expected {len(predictions)} targets, one a prediction, got {len(targets)}')
        self._count += targets.size
        self._add(*(np.asarray(array, np.float64) for array in (predictions, targets)))

    def _has_samples(self):
        return self._count > 0

    def _reset(self):
        raise NotImplementedError

    def _add(self, predictions, targets):
        """Add float64 arrays of the same shape to the counts."""
        raise NotImplementedError


class BinaryAccuracy(NumberMetric):
    """The fraction of outputs that lie on their target's side of a threshold, a float; NaN counts as wrong.

    Args:
        threshold: of outputs; 0 for logits. Targets are 0 or 1.

    Raises:
        ValueError: threshold is no number.
    """

    name = 'binary_accuracy'

    def __init__(self, threshold=0.5):
        if not is_number(threshold):
            raise ValueError(f'threshold: expected a number, got {threshold!r}')
        self.threshold = threshold
        super().__init__()

    def _reset(self):
        self._correct = 0

    def _add(self, predictions, targets):
        right = ((predictions > self.threshold) == (targets > 0.5)) & ~np.isnan(predictions)
        self._correct += int(right.sum())

    def _result(self):
        return self._correct / self._count


class MeanAbsoluteError(NumberMetric):
    """The mean of |prediction - target| over samples and outputs, a float."""

    name = 'mean_absolute_error'

    def _reset(self):
        self._sum = 0.0

    def _add(self, predictions, targets):
        self._sum += float(np.abs(predictions - targets).sum())

    def _result(self):
        return self._sum / self._count


class R2(NumberMetric):
    """Coefficient of determination: 1 - squared errors / squared distances of the targets from their mean, a float.

    1 is perfect; 0 is as good as the mean of the targets. Of several outputs (N, ..., outputs) it is the mean of
    theirs, as of scikit-learn's `r2_score`; one whose targets are all equal has 1 where predictions are perfect, else
    0.
    """

    name = 'r2'

    def _reset(self):
        self._first = None

    def _add(self, predictions, targets):
        predictions, targets = (array.reshape(-1, array.shape[-1]) for array in (predictions, targets))
        if len(targets) == 0:
            return
        if self._first is None:
            self._first = targets[0]  # distances from it: sums of squares keep their digits
            self._rows, self._sums, self._squares, self._errors = 0, *np.zeros((3, len(self._first)))
        distances = targets - self._first
        self._rows += len(targets)
        self._sums = self._sums + distances.sum(axis=0)
        self._squares = self._squares + np.square(distances).sum(axis=0)
        self._errors = self._errors + np.square(predictions - targets).sum(axis=0)

    def _result(self):
        variation = self._squares - self._sums**2 / self._rows
        varies = ~(variation <= 0)  # NaN included
        return float(np.where(varies, 1 - ratio(self._errors, variation), self._errors == 0).mean())
