"""Categorical cross-entropy: the loss of classes, one a sample or one a position; and checks of class labels."""

from functools import partial

import numpy as np

from cnnx import kernels
from cnnx._util import logits
from cnnx._util.arrays import as_numbers, in_chunks
from cnnx._util.validation import is_whole, non_negative, true_or_false
from cnnx._util.windows import batch_shape
from cnnx.losses.base import Loss, check_probabilities, mean_of, place_in, weigh


def class_labels(targets, classes, what='targets', positions=(), ignore_label=None):
    """Return class indices, (N, *positions) int32, from indices or one-hot rows; -1 for those to be ignored.

    Args:
        targets: whole numbers in 0 .. classes - 1, (N, *positions) or (N, *positions, 1); or one-hot rows with a single
            1, (N, *positions, classes).
        classes: how many there are.
        what: how errors name the targets.
        positions: the shape of the predictions of a sample, without the axis of the classes; () for one a sample.
        ignore_label: a whole number that stands for no class; then -1 does, too. None where there is none.

    Raises:
        ValueError: with the place of the first target that is neither.
    """
    targets, positions = as_numbers(targets, what), tuple(positions)
    one_hot = targets.shape[1:] == (*positions, classes) and classes > 1
    if not one_hot and targets.shape[1:] not in (positions, (*positions, 1)):
        indices, rows = batch_shape(positions), batch_shape((*positions, classes))
        hint = '; for one class a sample, put Flatten and Dense before the Softmax'
        raise ValueError(
            f'{what}: expected class indices {indices} or one-hot rows {rows}, got an array of shape {targets.shape}'
            + hint * (len(positions) > 0 and targets.ndim == 1)
        )
    shape = len(targets), *positions
    labels = np.empty(shape, np.int32)
    for first, rows in in_chunks(targets):
        if one_hot:
            found = _places_of_ones(rows, first, what)
        else:
            found = _whole_numbers(rows.reshape(-1), first, shape, classes, what, ignore_label)
        labels[first : first + len(rows)] = found.reshape(-1, *positions)
    return labels


def _places_of_ones(rows, first, what):
    wrong = np.argwhere(((rows == 1).sum(axis=-1) != 1) | ((rows != 0).sum(axis=-1) != 1))
    if len(wrong):
        place = tuple(map(int, wrong[0]))
        row, at = rows[place], (first + place[0], *place[1:])
        raise ValueError(
            f'{what}: row {at[0] if len(at) == 1 else at} is not one-hot: expected a single 1 among zeros, got {row}'
        )
    return rows.argmax(axis=-1)


def _whole_numbers(indices, first, shape, classes, what, ignore_label):
    """Return flattened indices that come after so many samples of labels of a shape, checked."""
    right = (indices >= 0) & (indices < classes) & (indices == np.floor(indices))
    ignored = False
    if ignore_label is not None:
        ignored = (indices == ignore_label) | (indices == -1)
    wrong = np.flatnonzero(~(right | ignored))
    if len(wrong):
        place = place_in(shape, first * int(np.prod(shape[1:])) + wrong[0])
        besides = '' if ignore_label is None else f', or {ignore_label} to be ignored'
        raise ValueError(
            f'{what}: {indices[wrong[0]]} at position {place} is not a class: '
            f'expected whole numbers from 0 to {classes - 1}{besides}'
        )
    return np.where(ignored, np.int64(-1), indices)


class CategoricalCrossEntropy(Loss):
    """-log of the probability that the prediction gives to the true class, in nats.

    Shapes: predictions (N, classes), or one row of classes for each position of a map or sequence, (N, H, W, classes)
    or (N, L, classes). Targets are class indices (N,), (N, H, W) or (N, L), or one-hot rows of the predictions' shape.
    The loss is the mean over samples and positions, those that are ignored left out; so is accuracy.

    For the array that a `Softmax` layer returned, or a network that ends with one, loss and gradient are computed from
    the softmax's input, the logits, as one stable step: the gradient by the logits is (softmax - one-hot) / count.
    Other probabilities count as at least 1e-7.

    Args:
        from_logits: predictions are not probabilities, but what a softmax would make them from.
        label_smoothing: this much of the probability that a target gives to the true class is spread evenly
            over all classes, at least 0 and less than 1. Source: Szegedy et al., "Rethinking the Inception
            architecture for computer vision", 2016, section 7.
        ignore_label: class indices of this whole number, such as 255 or -1, have no class: they count in neither loss
            nor accuracy, as `ignore_index` of PyTorch. With any, -1 does the same.

    Raises:
        ValueError: from_logits is neither True nor False, label_smoothing no such number, or ignore_label no whole one.
    """

    SMALLEST = 1e-7
    adjustable = ('label_smoothing',)

    def __init__(self, from_logits=False, label_smoothing=0.0, ignore_label=None):
        self.from_logits = true_or_false(from_logits, 'from_logits')
        self.label_smoothing = non_negative(label_smoothing, 'label_smoothing', below=1)
        if ignore_label is not None and not is_whole(ignore_label):
            raise ValueError(f'ignore_label: expected a whole number such as 255, or None, got {ignore_label!r}')
        self.ignore_label = ignore_label

    def prepare(self, targets, output_shape, dtype, what='targets'):
        *positions, classes = output_shape
        if classes < 2:
            raise ValueError(
                f'CategoricalCrossEntropy: expected predictions (N, ..., classes) of at least 2, '
                f'got {batch_shape(output_shape)}'
            )
        return class_labels(targets, classes, what, positions, self.ignore_label)

    def count_targets(self, targets):
        return targets.size if self.ignore_label is None else int((targets >= 0).sum())

    def measures_accuracy(self, targets):
        return True

    def count_correct(self, y, targets):
        return int((y.argmax(axis=-1) == targets).sum())

    @np.errstate(over='ignore', invalid='ignore')
    def value_and_gradient(self, y, targets, sample_weight=None):
        known = None if self.from_logits else logits.logits_by_probabilities.find(y)
        y, targets, sample_weight = self._checked(y, targets, sample_weight)
        if self.from_logits:
            losses, gradient = self._by_rows(self._of_logits, y, targets)
        else:
            # What a softmax made is as exact as it looks, down to the smallest number.
            smallest = self.SMALLEST if known is None else np.finfo(y.dtype).tiny
            losses, gradient = self._by_rows(partial(self._of_probabilities, smallest=smallest), y, targets)
        gradient = weigh(gradient, sample_weight)
        if known is not None:  # Softmax.backward will take this gradient instead
            losses, dlogits = self._by_rows(self._of_logits, known, targets)
            logits.dlogits_by_dy.remember(gradient, weigh(dlogits, sample_weight))
        return mean_of(losses, sample_weight, self.count_targets(targets)), gradient

    def _by_rows(self, function, x, labels):
        """Return what a function of rows and their labels does, for each position; 0 for those that are ignored."""
        rows, flat = x.reshape(-1, x.shape[-1]), labels.reshape(-1)
        if self.ignore_label is None:
            losses, gradient = function(rows, flat)
        else:
            kept, losses, gradient = flat >= 0, np.zeros(len(rows), x.dtype), np.zeros_like(rows)
            losses[kept], gradient[kept] = function(rows[kept], flat[kept])
        return losses.reshape(labels.shape), gradient.reshape(x.shape)

    def _of_logits(self, x, labels):
        """Return the loss of each row, (N,), and the gradient of their mean by logits."""
        losses, probabilities = np.empty(len(x), x.dtype), np.empty_like(x)
        threads = kernels.threads_for(x.size)
        kernels.current().softmax_cross_entropy_forward(x, labels, probabilities, losses, self.label_smoothing, threads)
        gradient = probabilities  # the kernel writes it in their place
        kernels.current().softmax_cross_entropy_backward(probabilities, labels, gradient, self.label_smoothing, threads)
        return losses, gradient

    def _of_probabilities(self, y, labels, smallest):
        """Return the loss of each row, (N,), and the gradient of their mean by probabilities."""
        check_probabilities(y, '; for logits, use from_logits=True')
        N, C = y.shape
        y = np.maximum(y, smallest)
        target = np.full_like(y, self.label_smoothing / C)
        target[np.arange(N), labels] += 1 - self.label_smoothing
        return -(target * np.log(y)).sum(axis=1), -target / (N * y)
