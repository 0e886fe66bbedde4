"""What training makes small: a number for how far predictions are from their targets."""

import numpy as np

from cnnx import kernels
from cnnx._util.arrays import as_kernels_read, as_numbers, in_chunks, new_array
from cnnx._util.representation import ReprFromArguments
from cnnx._util.validation import non_negative, true_or_false
from cnnx._util.windows import batch_shape


def class_labels(targets, classes, what='targets'):
    """Return class indices, (N,) int32, from indices or one-hot rows.

    Args:
        targets: (N,) or (N, 1) whole numbers in 0 .. classes - 1, or (N, classes) rows with a single 1.
        classes: how many there are.
        what: how errors name the targets.

    Raises:
        ValueError: with the place of the first target that is neither.
    """
    targets = as_numbers(targets, what)
    one_hot = targets.ndim == 2 and targets.shape[1] == classes > 1
    if not one_hot and targets.ndim != 1 and targets.shape[1:] != (1,):
        raise ValueError(
            f'{what}: expected class indices (N,) or one-hot rows (N, {classes}), got an array of shape {targets.shape}'
        )
    labels = np.empty(len(targets), np.int32)
    for first, rows in in_chunks(targets):
        labels[first : first + len(rows)] = (
            _places_of_ones(rows, first, what) if one_hot else _whole_numbers(rows.reshape(-1), first, classes, what)
        )
    return labels


def _places_of_ones(rows, first, what):
    wrong = np.flatnonzero(((rows == 1).sum(axis=1) != 1) | ((rows != 0).sum(axis=1) != 1))
    if len(wrong):
        raise ValueError(
            f'{what}: row {first + wrong[0]} is not one-hot: expected a single 1 among zeros, got {rows[wrong[0]]}'
        )
    return rows.argmax(axis=1)


def _whole_numbers(indices, first, classes, what):
    wrong = np.flatnonzero(~((indices >= 0) & (indices < classes) & (indices == np.floor(indices))))
    if len(wrong):
        raise ValueError(
            f'{what}: {indices[wrong[0]]} at position {first + wrong[0]} is not a class: '
            f'expected whole numbers from 0 to {classes - 1}'
        )
    return indices


class Loss(ReprFromArguments):
    """The mean, over the samples of a batch, of a loss.

    `forward` and `backward` check what they are given. In a network, targets are checked once, by
    `prepare`, and plan.py calls `compute` and `compute_gradient`.
    """

    adjustable = planned = ()  # as of a layer

    def __init__(self):
        self._saved = None

    def settings(self):
        """Return the constructor's arguments as JSON can hold them."""
        return {}

    def forward(self, predictions, targets):
        """Return the mean loss of predictions (N, ...), as a float.

        Raises:
            ValueError: there is no sample, or targets do not fit the predictions.
        """
        predictions = as_numbers(predictions, 'predictions')
        if predictions.ndim < 2 or len(predictions) == 0:
            raise ValueError(f'predictions: expected (N, outputs) with N at least 1, got {predictions.shape}')
        dtype = predictions.dtype if predictions.dtype == np.float64 else np.dtype(np.float32)
        targets = self.prepare(targets, predictions.shape[1:], dtype)
        if len(targets) != len(predictions):
            raise ValueError(f'targets: expected {len(predictions)}, one a prediction, got {len(targets)}')
        losses = self.compute(as_kernels_read(predictions, dtype), targets, new_array)
        return float(losses.mean(dtype=np.float64))

    def backward(self):
        """Return the gradient of the mean loss by the predictions of the latest forward pass."""
        if self._saved is None:
            raise RuntimeError(f'{type(self).__name__}: backward needs a forward pass before it')
        return self.compute_gradient(new_array)

    def prepare(self, targets, output_shape, dtype, what='targets'):
        """Return targets as `compute` takes them, or raise a ValueError that says which one does not fit."""
        raise NotImplementedError

    def measures_accuracy(self, targets):
        """Whether right and wrong can be told for prepared targets."""
        raise NotImplementedError

    def count_correct(self, predictions, targets):
        """Return how many predictions are right."""
        raise NotImplementedError

    def compute(self, predictions, targets, empty):
        """Return the loss of each sample, (N,)."""
        raise NotImplementedError

    def compute_gradient(self, empty):
        """Return the gradient of the mean loss by the predictions."""
        raise NotImplementedError


class CategoricalCrossEntropy(Loss):
    """-log of the probability that the prediction gives to the true class, in nats.

    Targets are class indices (N,) or one-hot rows (N, classes). Behind a `Softmax` layer a network
    computes the two as one stable step, with the gradient (softmax - one-hot) / N. Alone, the loss works on
    probabilities, none of which counts as smaller than 1e-7.

    Args:
        from_logits: predictions are not probabilities, but what a softmax would make them from.
        label_smoothing: this much of the probability that a target gives to the true class is spread evenly
            over all classes, at least 0 and less than 1. Source: Szegedy et al., "Rethinking the Inception
            architecture for computer vision", 2016, section 7.

    Raises:
        ValueError: from_logits is neither True nor False, or label_smoothing no such number.
    """

    SMALLEST = 1e-7
    adjustable = ('label_smoothing',)
    planned = ('label_smoothing', 'from_logits')

    def __init__(self, from_logits=False, label_smoothing=0.0):
        super().__init__()
        self.from_logits = true_or_false(from_logits, 'from_logits')
        self.label_smoothing = non_negative(label_smoothing, 'label_smoothing', below=1)

    def settings(self):
        return {'from_logits': self.from_logits, 'label_smoothing': self.label_smoothing}

    def forward(self, predictions, targets):
        predictions = as_numbers(predictions, 'predictions')
        if not self.from_logits and ((predictions < 0) | (predictions > 1)).any():
            raise ValueError('predictions: expected probabilities from 0 to 1; for logits, use from_logits=True')
        return super().forward(predictions, targets)

    def prepare(self, targets, output_shape, dtype, what='targets'):
        if len(output_shape) != 1 or output_shape[0] < 2:
            raise ValueError(
                f'CategoricalCrossEntropy: expected predictions (N, classes), got {batch_shape(output_shape)}'
            )
        return class_labels(targets, output_shape[0], what)

    def measures_accuracy(self, targets):
        return True

    def count_correct(self, predictions, targets):
        return int((predictions.argmax(axis=1) == targets).sum())

    def compute(self, predictions, targets, empty):
        dtype = predictions.dtype
        if self.from_logits:
            losses = empty('losses', (len(predictions),), dtype)
            probabilities = empty('probabilities', predictions.shape, dtype)
            kernels.current().softmax_cross_entropy_forward(
                predictions, targets, probabilities, losses, self.label_smoothing, 1
            )
            self._saved = probabilities, targets
            return losses
        self._saved = predictions, targets
        losses = -np.log(self._of_true_class(predictions, targets))
        if self.label_smoothing > 0:
            losses *= 1 - self.label_smoothing
            losses -= self.label_smoothing * np.log(np.maximum(predictions, self.SMALLEST)).mean(axis=1)
        return losses

    def compute_gradient(self, empty):
        predictions, targets = self._saved
        gradient = empty('gradient', predictions.shape, predictions.dtype)
        if self.from_logits:
            kernels.current().softmax_cross_entropy_backward(predictions, targets, gradient, self.label_smoothing, 1)
        else:
            N, C = predictions.shape
            target = np.full_like(gradient, self.label_smoothing / C)
            target[np.arange(N), targets] += 1 - self.label_smoothing
            np.subtract(0, target / (N * np.maximum(predictions, self.SMALLEST)), out=gradient)
        return gradient

    def _of_true_class(self, probabilities, labels):
        return np.maximum(probabilities[np.arange(len(labels)), labels], self.SMALLEST)


class MeanSquaredError(Loss):
    """The mean of (prediction - target)^2 over samples and outputs.

    Targets have the predictions' shape; (N,) stands for (N, 1), and class indices (N,) for one-hot rows
    where there are several outputs. Where all targets are 0 or 1, a prediction counts as right if its
    largest output is the target's, or, with a single output, if it lies on the target's side of 1/2.
    Other targets have no accuracy. Targets keep their dtype, and are converted batch by batch: they may be mapped
    from a file.
    """

    def prepare(self, targets, output_shape, dtype, what='targets'):
        targets = as_numbers(targets, what)
        if targets.ndim == 1 and len(output_shape) == 1:
            if output_shape[0] > 1:
                return np.eye(output_shape[0], dtype=dtype)[class_labels(targets, output_shape[0], what)]
            targets = targets[:, np.newaxis]
        if targets.shape[1:] != tuple(output_shape):
            raise ValueError(f'{what}: expected shape {batch_shape(output_shape)}, got {targets.shape}')
        return targets

    def measures_accuracy(self, targets):
        return targets.ndim == 2 and all(((rows == 0) | (rows == 1)).all() for _, rows in in_chunks(targets))

    def count_correct(self, predictions, targets):
        if predictions.shape[1] == 1:
            return int(((predictions > 0.5) == (targets > 0.5)).sum())
        return int((predictions.argmax(axis=1) == targets.argmax(axis=1)).sum())

    def compute(self, predictions, targets, empty):
        difference = empty('difference', predictions.shape, predictions.dtype)
        np.subtract(predictions, targets, out=difference, dtype=difference.dtype)
        self._saved = difference
        return np.square(difference).reshape(len(difference), -1).mean(axis=1)

    def compute_gradient(self, empty):
        gradient = empty('gradient', self._saved.shape, self._saved.dtype)
        return np.multiply(self._saved, 2 / self._saved.size, out=gradient)


LOSSES = {kind.__name__: kind for kind in (CategoricalCrossEntropy, MeanSquaredError)}
