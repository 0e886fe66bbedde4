"""What is counted of predictions: right ones, the best few, who is taken for whom.

Conventions are scikit-learn's: `confusion[i, j]` is how many of class i were taken for class j, and a share
of nothing (0 / 0) is 0.
"""

import re

import numpy as np

from cnnx._util.arrays import as_numbers
from cnnx._util.representation import ReprFromArguments
from cnnx._util.validation import positive_int
from cnnx.losses import class_labels


class Metric(ReprFromArguments):
    """A figure over samples that come in batches, from counts that do not grow with the samples.

    The class that is predicted is that of the largest score, the first of equal ones; a single score decides
    between class 0 and, over 1/2, class 1. A sample with a NaN among its scores has no predicted class and
    counts as wrong. A kind of metric defines `name`, `_reset`, `_add` and `_figure`.
    """

    name = None

    def __init__(self):
        self._classes = None

    def check_classes(self, classes):
        """Raise a ValueError if there is no such figure for so many classes."""

    def reset(self, classes=None):
        """Forget all samples; the next ones are of so many classes, or of as many as they have scores for."""
        self._classes = None
        if classes is not None:
            self.check_classes(classes)
            self._classes = classes
            self._reset(classes)

    def update(self, predictions, labels):
        """Count samples in.

        Args:
            predictions: scores (N, classes), the larger the more probable; or (N, 1) between two classes.
            labels: class indices (N,) or one-hot rows (N, classes).

        Raises:
            ValueError: they are none of these, or of another number of classes than before; nothing is counted.
        """
        scores = class_scores(predictions, f'{self.name}: predictions')
        classes = scores.shape[1]
        if self._classes not in (None, classes):
            raise ValueError(f'{self.name}: expected predictions of {self._classes} classes, got {classes}')
        labels = class_labels(labels, classes, f'{self.name}: labels')
        if len(labels) != len(scores):
            raise ValueError(f'{self.name}: expected {len(scores)} labels, one a prediction, got {len(labels)}')
        if self._classes is None:
            self.reset(classes)
        self._add(scores, labels, ~np.isnan(scores).any(axis=1))

    def result(self):
        """Return the figure over all samples since the last reset.

        Raises:
            RuntimeError: there were none.
        """
        self._needs_samples()
        return self._figure()

    def _needs_samples(self):
        if self._classes is None:
            raise RuntimeError(f'{self.name}: no samples yet; call update(predictions, labels)')

    def _reset(self, classes):
        raise NotImplementedError

    def _add(self, scores, labels, decided):
        """Count in scores (N, classes) and labels (N,); `decided` tells where no score is NaN."""
        raise NotImplementedError

    def _figure(self):
        raise NotImplementedError


class _Share(Metric):
    """Right samples by samples."""

    def _reset(self, classes):
        self._right, self._count = 0, 0

    def _add(self, scores, labels, decided):
        self._right += int((self._is_right(scores, labels) & decided).sum())
        self._count += len(labels)

    def _figure(self):
        return _shares(self._right, self._count).item()

    def _is_right(self, scores, labels):
        raise NotImplementedError


class Accuracy(_Share):
    """The share of samples whose predicted class is the true one, a float."""

    name = 'accuracy'

    def _is_right(self, scores, labels):
        return scores.argmax(axis=1) == labels


class TopK(_Share):
    """The share of samples whose true class is among the k with the largest scores, a float.

    It is if fewer than k classes have a strictly larger score: of equal scores at the border, all are in, as in
    TensorFlow's `in_top_k`. `Accuracy` takes the first of equal ones, so TopK(1) can be larger.

    Raises:
        ValueError: k is no whole number of at least 1; or, once the classes are known, more than these.
    """

    def __init__(self, k=5):
        super().__init__()
        self.k = positive_int(k, 'k')
        self.name = f'top_{self.k}'

    def check_classes(self, classes):
        if self.k > classes:
            raise ValueError(f'{self.name}: expected k of at most {classes}, the number of classes')

    def _is_right(self, scores, labels):
        of_label = scores[np.arange(len(labels)), labels]
        return (scores > of_label[:, np.newaxis]).sum(axis=1) < self.k


class ConfusionMatrix(Metric):
    """Who is taken for whom: [i, j] is how many samples of class i were taken for class j, (classes, classes) int64.

    Attributes:
        undecided: how many samples of each class have no predicted class, (classes,) int64. They are in no column.
    """

    name = 'confusion_matrix'

    def precision(self):
        """Return, for each class, the share that is right of what was taken for it, (classes,); 0 / 0 is 0."""
        self._needs_samples()
        return _shares(self._counts.diagonal(), self._counts.sum(axis=0))

    def recall(self):
        """Return, for each class, the share that was found of what is of it, (classes,); 0 / 0 is 0."""
        self._needs_samples()
        return _shares(self._counts.diagonal(), self._counts.sum(axis=1) + self.undecided)

    def f1(self):
        """Return the harmonic mean of precision and recall of each class, (classes,); 0 / 0 is 0."""
        self._needs_samples()
        taken, there = self._counts.sum(axis=0), self._counts.sum(axis=1) + self.undecided
        return _shares(2 * self._counts.diagonal(), taken + there)

    def _reset(self, classes):
        self._counts = np.zeros((classes, classes), np.int64)
        self.undecided = np.zeros(classes, np.int64)

    def _add(self, scores, labels, decided):
        classes = len(self._counts)
        pairs = labels[decided].astype(np.int64) * classes + scores[decided].argmax(axis=1)
        self._counts += np.bincount(pairs, minlength=classes**2).reshape(classes, classes)
        self.undecided += np.bincount(labels[~decided], minlength=classes)

    def _figure(self):
        return self._counts.copy()


class Precision(ConfusionMatrix):
    """Of what was taken for a class, the share that is of it: (classes,) float64; 0 where nothing was."""

    name = 'precision'

    def _figure(self):
        return self.precision()


class Recall(ConfusionMatrix):
    """Of what is of a class, the share that was taken for it: (classes,) float64; 0 where nothing is."""

    name = 'recall'

    def _figure(self):
        return self.recall()


class F1(ConfusionMatrix):
    """2 precision recall / (precision + recall) of each class: (classes,) float64; 0 where nothing was right."""

    name = 'f1'

    def _figure(self):
        return self.f1()


METRICS = {
    'accuracy': Accuracy,
    'top_k': TopK,
    'confusion_matrix': ConfusionMatrix,
    'precision': Precision,
    'recall': Recall,
    'f1': F1,
}


def get_metric(metric):
    """Return the metric of a name, or the object that it is already; 'top_3' is TopK(3), 'top_k' is TopK().

    Raises:
        ValueError: it is neither.
    """
    if isinstance(metric, Metric):
        return metric
    if isinstance(metric, str):
        if metric in METRICS:
            return METRICS[metric]()
        if re.fullmatch('top_[0-9]{1,9}', metric):
            return TopK(int(metric.removeprefix('top_')))
    known = ', '.join(METRICS).replace('top_k', 'top_k (such as top_3)')
    raise ValueError(f'metrics: expected one of {known}, or an object such as TopK(3), got {metric!r}')


def get_metrics(metrics):
    """Return a list of metrics from names and objects.

    Raises:
        ValueError: one is neither, or two of them have one name.
    """
    if not isinstance(metrics, (list, tuple)):
        raise ValueError(f"metrics: expected a list such as ['precision', 'top_3'], got {metrics!r}")
    found = [get_metric(metric) for metric in metrics]
    names = [metric.name for metric in found]
    for name in names:
        if names.count(name) > 1 or name == 'loss':
            raise ValueError(f'metrics: expected each name once beside the loss, got {", ".join(names)}')
    return found


def class_scores(predictions, what='predictions'):
    """Return a score for each class, (N, classes): the predictions, or 1 - p and p of predictions (N, 1).

    Raises:
        ValueError: they are no such array of numbers.
    """
    predictions = as_numbers(predictions, what)
    if predictions.ndim != 2 or predictions.shape[1] == 0:
        raise ValueError(f'{what}: expected (N, classes), got {predictions.shape}')
    return np.hstack([1.0 - predictions, predictions]) if predictions.shape[1] == 1 else predictions


def _shares(parts, wholes):
    """Return parts / wholes as float64, 0 where there is nothing to have a part of."""
    parts, wholes = np.asarray(parts), np.asarray(wholes)
    return np.divide(parts, wholes, out=np.zeros(wholes.shape), where=wholes > 0)
