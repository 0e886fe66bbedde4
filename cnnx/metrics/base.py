"""What every metric has: it is reset, counts batches, and has a result."""

import numpy as np

from cnnx._util.representation import ReprFromArguments


class Metric(ReprFromArguments):
    """Base class of metrics, which are computed batch by batch from counts of constant size.

    There are metrics of classes, of `cnnx.metrics.classes`, and of numbers, of `cnnx.metrics.numbers`.
    """

    name = None

    def reset(self):
        """Set all counts to 0."""
        raise NotImplementedError

    def update(self, predictions, targets):
        """Add a batch to the counts.

        Args:
            predictions: what the network gives, (N, ...).
            targets: what it should give.

        Raises:
            ValueError: an array has the wrong shape. Nothing is counted then.
        """
        raise NotImplementedError

    def result(self):
        """Return the metric over all samples since the last reset.

        Raises:
            RuntimeError: there are no samples yet.
        """
        self._check_samples()
        return self._result()

    def _check_samples(self):
        if not self._has_samples():
            raise RuntimeError(f'{self.name}: no samples yet; call update(predictions, targets)')

    def _has_samples(self):
        raise NotImplementedError

    def _result(self):
        raise NotImplementedError


def ratio(numerator, denominator):
    """Return numerator / denominator as float64; 0 / 0 is 0."""
    numerator, denominator = np.asarray(numerator), np.asarray(denominator)
    return np.divide(numerator, denominator, out=np.zeros(denominator.shape), where=denominator > 0)
