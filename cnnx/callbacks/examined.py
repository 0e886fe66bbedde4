"""What callbacks show of validation data: some images with predictions, and all predictions compared to the truth."""

from dataclasses import dataclass

import numpy as np

from cnnx._util.arrays import softmax
from cnnx._util.png import as_bytes
from cnnx.losses import class_labels
from cnnx.metrics import ConfusionMatrix, class_scores, confident_mistakes

LONGEST_SIDE = 112
BATCH = 256


@dataclass
class Picture:
    """An image with what the network says of it.

    Attributes:
        image: (H, W, 1) or (H, W, 3) uint8.
        predicted, true: the names of classes, or numbers as text.
        confidence: the probability of the predicted class; None for numbers.
    """

    image: np.ndarray
    predicted: str
    true: str
    confidence: float | None = None


@dataclass
class Comparison:
    """All predictions for validation data, and the truth.

    Attributes:
        names: of the classes.
        matrix: (classes, classes) int64, [i, j] counts samples of class i that are predicted as class j.
        undecided: how many samples have NaN outputs.
        mistakes: `Picture` objects of the wrong predictions, the most confident first; none where samples are no
            images.
    """

    names: list
    matrix: np.ndarray
    undecided: int
    mistakes: list


class Examined:
    """Validation data that a callback shows.

    Args:
        network: the one in training.
        validation: an `ArrayData`, or anything else, of which nothing can be shown.
        count: how many samples `pictures` shows, evenly spaced.

    Attributes:
        labels: the classes of samples, (N,); None where there are none, or several a sample.
    """

    def __init__(self, network, validation, count):
        self._network, self._data = network, validation
        self.labels, self._chosen = None, None
        if validation is None or validation.size is None:
            return
        if len(network.input_shape) == 3 and network.input_shape[2] in (1, 3):
            self._chosen = np.unique(np.linspace(0, validation.size - 1, count).astype(np.int64))
        outputs = network.layers[-1].shape
        if len(outputs) == 1 and validation.measures_accuracy:
            try:
                self.labels = class_labels(validation.targets, max(outputs[0], 2), 'y')
            except ValueError:  # several classes a sample, or samples that do not count
                self.labels = None

    def pictures(self):
        """Return `Picture` objects of the samples chosen; an empty list where they, or predictions, are no pictures."""
        if self._chosen is None or (self.labels is None and self._network.layers[-1].shape != (1,)):
            return []
        x, targets, *_ = self._data.batch(self._chosen)
        images = as_bytes(x, LONGEST_SIDE)
        if self.labels is None:
            rows = zip(images, self._network.predict(x)[:, 0], np.ravel(targets), strict=True)
            return [Picture(image, f'{predicted:.3g}', f'{true:.3g}') for image, predicted, true in rows]
        scores, names = self._scores(x), self._names()
        rows = zip(images, scores, scores.argmax(axis=1), self.labels[self._chosen], strict=True)
        return [
            Picture(image, names[predicted], names[true], float(row[predicted])) for image, row, predicted, true in rows
        ]

    def compare(self, most):
        """Return a `Comparison` of all samples, with up to `most` mistakes; None where samples have no classes."""
        if self.labels is None:
            return None
        batches = self._data.batches(BATCH)
        scores = np.concatenate([self._scores(samples.batch(index)[0]) for samples, index in batches])
        confusion = ConfusionMatrix()
        confusion.update(scores, self.labels)
        pictures, names = [], self._names()
        mistakes = confident_mistakes(scores, self.labels, most) if self._chosen is not None else []
        if mistakes:
            x, *_ = self._data.batch(np.array([index for index, *_ in mistakes]))
            pictures = [
                Picture(image, names[predicted], names[true], score)
                for image, (_, true, predicted, score) in zip(as_bytes(x, LONGEST_SIDE), mistakes, strict=True)
            ]
        return Comparison(names, confusion.result(), int(confusion.undecided.sum()), pictures)

    def _scores(self, x):
        """Return the probability of each class, (N, classes)."""
        network = self._network
        scores = class_scores(network.loss.as_scores(network.predict(x)))
        if getattr(network.loss, 'from_logits', False) and network.layers[-1].shape != (1,):
            return softmax(scores)
        return scores

    def _names(self):
        names = self._network.class_names
        return list(names or map(str, range(max(self._network.layers[-1].shape[0], 2))))
