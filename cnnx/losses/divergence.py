"""Kullback-Leibler divergence: the loss of targets that are probabilities of classes."""

import numpy as np

from cnnx._util import logits
from cnnx._util.arrays import in_chunks
from cnnx.losses.base import (
    ROUNDING,
    Loss,
    check_probabilities,
    check_range,
    mean_of,
    place_in,
    targets_like_outputs,
    weigh,
)


class KLDivergence(Loss):
    """Kullback-Leibler divergence: the sum over classes of t log(t / p), the mean over samples and positions, in nats.

    Shapes: predictions p (N, classes), or a row of classes for each position, (N, ..., classes); targets t of the same
    shape, rows of probabilities that sum to 1, such as what another network predicts (distillation). There is no
    accuracy. Gradient: -t / (p count).

    For the array that a `Softmax` layer returned, or a network that ends with one, loss and gradient are computed from
    the softmax's input: the gradient by it is (p - t) / count. Of other probabilities, 0 counts as the smallest number.

    Source: Kullback and Leibler, "On information and sufficiency", 1951.
    """

    def prepare(self, targets, output_shape, dtype, what='targets'):
        targets = targets_like_outputs(targets, output_shape, what)
        check_range(targets, what)
        for first, rows in in_chunks(targets):
            sums = rows.sum(axis=-1, dtype=np.float64)
            wrong = np.flatnonzero(np.abs(sums - 1) > ROUNDING)
            if len(wrong):
                place = place_in(targets.shape[:-1], first * sums[0].size + wrong[0])
                raise ValueError(
                    f'{what}: expected rows of probabilities that sum to 1, '
                    f'row {place} sums to {sums.reshape(-1)[wrong[0]]:.4g}'
                )
        return targets

    @np.errstate(over='ignore', invalid='ignore')
    def value_and_gradient(self, y, targets, sample_weight=None):
        known = logits.logits_by_probabilities.find(y)
        y, targets, sample_weight = self._checked(y, targets, sample_weight)
        check_probabilities(y)
        targets = targets.astype(y.dtype, copy=False)
        count = float(y.size // y.shape[-1])  # divided by a large whole number, NumPy 1 makes float64
        p = np.maximum(y, np.finfo(y.dtype).tiny)
        logarithms, gradient = np.log(p), weigh(-targets / p / count, sample_weight)
        if known is not None:  # Softmax.backward will take this gradient instead
            shifted = known - known.max(axis=-1, keepdims=True)
            logarithms = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
            dlogits = (y * targets.sum(axis=-1, keepdims=True) - targets) / count
            logits.dlogits_by_dy.remember(gradient, weigh(dlogits, sample_weight))
        losses = (targets * (np.log(np.where(targets > 0, targets, 1)) - logarithms)).sum(axis=-1)
        return mean_of(losses, sample_weight, count), gradient
