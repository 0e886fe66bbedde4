"""Metrics of classes: accuracy, top-k accuracy, confusion matrix, precision, recall, F1, intersection over union.

Conventions are those of scikit-learn: `confusion[i, j]` counts the samples of class i that were predicted as class j,
and 0 / 0 is 0.
"""

import numpy as np

from cnnx._util.arrays import as_numbers
from cnnx._util.validation import positive_int
from cnnx.losses import class_labels
from cnnx.metrics.base import Metric, ratio


class ClassMetric(Metric):
    """Base class of metrics that compare the class with the largest score to the true one.

    The predicted class is the first of those with equal scores. A single score p means class 1 if it is more than 1/2,
    else class 0. A sample with a NaN among its scores has no predicted class and counts as wrong. Of maps and
    sequences, each position counts as a sample.

    A subclass defines `name`, `_reset`, `_add` and `_result`.
    """

    def __init__(self):
        self._classes = None

    def check_classes(self, classes):
        """Raise a ValueError if the metric is not defined for this number of classes."""

    def reset(self, classes=None):
        """Set all counts to 0.

        Args:
            classes: the number of classes; None takes that of the first scores.
        """
        self._classes = None
        if classes is not None:
            self.check_classes(classes)
            self._classes = classes
            self._reset(classes)

    def update(self, predictions, labels):
        """Add a batch to the counts.

        Args:
            predictions: scores (N, ..., classes), such as probabilities or logits; or (N, ..., 1), the probability of
                class 1.
            labels: class indices (N, ...) or one-hot rows (N, ..., classes).

        Raises:
            ValueError: an array has another shape, or another number of classes than before. Nothing is counted then.
        """
        scores = class_scores(predictions, f'{self.name}: predictions')
        classes = scores.shape[-1]
        if self._classes not in (None, classes):
            raise ValueError(f'{self.name}: expected predictions of {self._classes} classes, got {classes}')
        labels = class_labels(labels, classes, f'{self.name}: labels', scores.shape[1:-1])
        if len(labels) != len(scores):
            raise ValueError(f'{self.name}: expected {len(scores)} labels, one a prediction, got {len(labels)}')
        if self._classes is None:
            self.reset(classes)
        scores = scores.reshape(-1, classes)
        self._add(scores, labels.reshape(-1), ~np.isnan(scores).any(axis=1))

    def _has_samples(self):
        return self._classes is not None

    def _reset(self, classes):
        raise NotImplementedError

    def _add(self, scores, labels, valid):
        """Add scores (N, classes) and labels (N,) to the counts; `valid` (N,) is False where a score is NaN."""
        raise NotImplementedError


class _FractionCorrect(ClassMetric):
    """The fraction of samples that `_is_correct`."""

    def _reset(self, classes):
        self._correct, self._count = 0, 0

    def _add(self, scores, labels, valid):
        self._correct += int((self._is_correct(scores, labels) & valid).sum())
        self._count += len(labels)

    def _result(self):
        return ratio(self._correct, self._count).item()

    def _is_correct(self, scores, labels):
        raise NotImplementedError


class Accuracy(_FractionCorrect):
    """The fraction of samples whose predicted class is the true one, a float."""

    name = 'accuracy'

    def _is_correct(self, scores, labels):
        return scores.argmax(axis=1) == labels


class TopK(_FractionCorrect):
    """Top-k accuracy: the fraction of samples whose true class is among the k with the largest scores, a float.

    A sample is correct if fewer than k classes have a larger score than the true one. So classes with equal scores
    count as being among the k together, as in TensorFlow's `in_top_k`. `Accuracy` takes the first of equal ones, so
    TopK(1) can be larger.

    Args:
        k: how many classes may be right.

    Raises:
        ValueError: k is not a whole number of at least 1; or, in `reset` and `update`, is more than the classes.
    """

    def __init__(self, k=5):
        super().__init__()
        self.k = positive_int(k, 'k')
        self.name = f'top_{self.k}'

    def check_classes(self, classes):
        if self.k > classes:
            raise ValueError(f'{self.name}: expected k of at most {classes}, the number of classes')

    def _is_correct(self, scores, labels):
        of_label = scores[np.arange(len(labels)), labels]
        return (scores > of_label[:, np.newaxis]).sum(axis=1) < self.k


class ConfusionMatrix(ClassMetric):
    """The confusion matrix, (classes, classes) int64: [i, j] counts the samples of class i predicted as class j.

    Attributes:
        undecided: the number of samples of each class that have no predicted class, since a score is NaN, (classes,)
            int64. They are in no column of the matrix.
    """

    name = 'confusion_matrix'

    def precision(self):
        """Return the precision of each class: true positives / predicted positives, (classes,) float64; 0 / 0 is 0."""
        self._check_samples()
        return ratio(self._counts.diagonal(), self._counts.sum(axis=0))

    def recall(self):
        """Return the recall of each class: true positives / actual positives, (classes,) float64; 0 / 0 is 0."""
        self._check_samples()
        return ratio(self._counts.diagonal(), self._counts.sum(axis=1) + self.undecided)

    def f1(self):
        """Return the harmonic mean of precision and recall of each class, (classes,) float64; 0 / 0 is 0."""
        self._check_samples()
        predicted, actual = self._counts.sum(axis=0), self._counts.sum(axis=1) + self.undecided
        return ratio(2 * self._counts.diagonal(), predicted + actual)

    def _reset(self, classes):
        self._counts = np.zeros((classes, classes), np.int64)
        self.undecided = np.zeros(classes, np.int64)

    def _add(self, scores, labels, valid):
        classes = len(self._counts)
        pairs = labels[valid].astype(np.int64) * classes + scores[valid].argmax(axis=1)
        self._counts += np.bincount(pairs, minlength=classes**2).reshape(classes, classes)
        self.undecided += np.bincount(labels[~valid], minlength=classes)

    def _result(self):
        return self._counts.copy()


class Precision(ConfusionMatrix):
    """The precision of each class: true positives / predicted positives, (classes,) float64; 0 / 0 is 0."""

    name = 'precision'

    def _result(self):
        return self.precision()


class Recall(ConfusionMatrix):
    """The recall of each class: true positives / actual positives, (classes,) float64; 0 / 0 is 0."""

    name = 'recall'

    def _result(self):
        return self.recall()


class F1(ConfusionMatrix):
    """The F1 score of each class: 2 precision recall / (precision + recall), (classes,) float64; 0 / 0 is 0."""

    name = 'f1'

    def _result(self):
        return self.f1()


class MeanIoU(ConfusionMatrix):
    """Mean intersection over union, a float: of each class, true positives / (predicted + actual - true positives).

    The mean is over the classes that occur, as in Keras: those that are neither there nor predicted are left out.

    Source: Everingham et al., "The PASCAL visual object classes challenge: a retrospective", 2015.
    """

    name = 'mean_iou'

    def _result(self):
        right = self._counts.diagonal()
        union = self._counts.sum(axis=0) + self._counts.sum(axis=1) + self.undecided - right
        return ratio(ratio(right, union).sum(), (union > 0).sum()).item()


def class_scores(predictions, what='predictions'):
    """Return a score for each class, (N, ..., classes): the predictions, or [1 - p, p] for predictions p (N, ..., 1).

    Raises:
        ValueError: the predictions have another shape, or are not numbers.
    """
    predictions = as_numbers(predictions, what)
    if predictions.ndim < 2 or predictions.shape[-1] == 0:
        raise ValueError(f'{what}: expected (N, classes), got {predictions.shape}')
    if predictions.shape[-1] > 1:
        return predictions
    return np.concatenate([1.0 - predictions, predictions], axis=-1)


def confident_mistakes(outputs, labels, most):
    """Return the wrong predictions with the largest outputs.

    Args:
        outputs: (N, classes), or (N, 1), the probability of class 1.
        labels: true classes, (N,).
        most: how many to return at most.

    Returns:
        A list of (index, true class, predicted class, output), the largest output first.
    """
    outputs = class_scores(outputs)
    predicted = outputs.argmax(axis=1)
    wrong = np.flatnonzero((predicted != labels) & ~np.isnan(outputs).any(axis=1))
    confidence = outputs[wrong, predicted[wrong]]
    order = np.argsort(-confidence, kind='stable')[:most]
    return [(int(i), int(labels[i]), int(predicted[i]), float(outputs[i, predicted[i]])) for i in wrong[order]]
