"""Binary cross-entropy: the loss of yes or no, and of several labels that are independent of each other."""

import numpy as np

from cnnx._util import logits
from cnnx._util.validation import true_or_false
from cnnx.losses.base import Loss, check_probabilities, check_range, mean_of, targets_like_outputs, weigh


class BinaryCrossEntropy(Loss):
    """-(t log p + (1 - t) log(1 - p)) of predictions p and targets t, the mean over samples and outputs, in nats.

    Shapes: predictions (N, ...), each the probability of its label; targets of the same shape, 0 or 1 or what is
    between, such as the pixels of an image. Where there is a single output, (N, 1) or (N, H, W, 1), targets may be (N,)
    or (N, H, W). Accuracy is the fraction of outputs that lie on the target's side of 1/2.

    For the array that a `Sigmoid` layer returned, or a network that ends with one, loss and gradient are computed from
    its input x, the logits, and are exact wherever probabilities round to 0 or 1: the loss is
    max(x, 0) - x t + log(1 + exp(-abs(x))), and its gradient by x is (p - t) / count. Of other probabilities, 0 counts
    as the smallest number.

    Source: Bishop, "Pattern recognition and machine learning", 2006, section 4.3.2.

    Args:
        from_logits: predictions are not probabilities, but what a sigmoid would make them from.

    Raises:
        ValueError: from_logits is neither True nor False.
    """

    def __init__(self, from_logits=False):
        self.from_logits = true_or_false(from_logits, 'from_logits')

    def prepare(self, targets, output_shape, dtype, what='targets'):
        targets = targets_like_outputs(targets, output_shape, what)
        check_range(targets, what)
        return targets

    def count_targets(self, targets):
        return targets.size

    def measures_accuracy(self, targets):
        return True

    def count_correct(self, y, targets):
        return int(((y > (0 if self.from_logits else 0.5)) == (targets > 0.5)).sum())

    def as_scores(self, y):
        return _sigmoid(y) if self.from_logits else y

    @np.errstate(over='ignore', invalid='ignore')
    def value_and_gradient(self, y, targets, sample_weight=None):
        known = None if self.from_logits else logits.logits_by_probabilities.find(y)
        y, targets, sample_weight = self._checked(y, targets, sample_weight)
        targets = targets.astype(y.dtype, copy=False)
        losses, gradient = _of_logits(y, targets) if self.from_logits else _of_probabilities(y, targets)
        gradient = weigh(gradient, sample_weight)
        if known is not None:  # Sigmoid.backward will take this gradient instead
            losses, dlogits = _of_logits(known, targets)
            logits.dlogits_by_dy.remember(gradient, weigh(dlogits, sample_weight))
        return mean_of(losses, sample_weight, losses.size), gradient


def _of_logits(x, targets):
    """Return the loss of each output, and the gradient of their mean by logits."""
    losses = np.maximum(x, 0) - x * targets + np.log1p(np.exp(-np.abs(x)))
    return losses, (_sigmoid(x) - targets) / float(x.size)  # divided by a large whole number, NumPy 1 makes float64


def _of_probabilities(y, targets):
    """Return the loss of each output, and the gradient of their mean by probabilities."""
    check_probabilities(y, '; for logits, use from_logits=True')
    smallest = np.finfo(y.dtype).tiny
    yes, no = np.maximum(y, smallest), np.maximum(1 - y, smallest)
    losses = -(targets * np.log(yes) + (1 - targets) * np.log(no))
    return losses, ((1 - targets) / no - targets / yes) / float(y.size)


def _sigmoid(x):
    power = np.exp(-np.abs(x))  # does not overflow
    return np.where(x < 0, power, 1) / (1 + power)
