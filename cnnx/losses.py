"""Loss functions: categorical cross-entropy, mean squared error, and the base class of your own."""

import math

import numpy as np

from cnnx import kernels
from cnnx._util import logits
from cnnx._util.arrays import as_kernels_read, as_numbers, in_chunks
from cnnx._util.foreign_names import LOSSES as FOREIGN_LOSSES
from cnnx._util.hints import explain_names
from cnnx._util.representation import ReprFromArguments, arguments_of
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


# How far below 0 or above 1 rounding may bring probabilities.
ROUNDING = 1e-3


class Loss(ReprFromArguments):
    """The mean, over the samples of a batch, of how far predictions are from their targets.

    A loss of your own is a subclass that defines `value_and_gradient(self, y, targets)`, and nothing else. With one
    more parameter, `sample_weight=None`, it takes weights of samples too. Keep the constructor's arguments in
    attributes of their names, and files can hold the loss. By default, targets are an array of numbers with one entry a
    sample, and there is no accuracy; `prepare`, `measures_accuracy` and `count_correct` are there to change that.
    """

    adjustable = ()  # as of a layer

    def value_and_gradient(self, y, targets, sample_weight=None):
        """Return the mean loss of a batch, a float, and its gradient by y, an array of y's shape and dtype.

        Args:
            y: predictions (N, ...).
            targets: what they should be, one entry a sample.
            sample_weight: how much each sample counts, (N,), or None: the loss is the sum of the weighted losses,
                divided by N, as in Keras.

        Raises:
            ValueError: there is no sample, or targets do not fit y.
        """
        kind = type(self).__name__
        raise NotImplementedError(f'{kind}.value_and_gradient: define value_and_gradient(self, y, targets)')

    def prepare(self, targets, output_shape, dtype, what='targets'):
        """Return targets as `value_and_gradient` takes them, or raise a ValueError that says which one does not fit."""
        return as_numbers(targets, what)

    def measures_accuracy(self, targets):
        """Whether accuracy is defined for prepared targets."""
        return False

    def count_correct(self, y, targets):
        """Return how many predictions are right."""
        return 0

    def settings(self):
        """Return the constructor's arguments as JSON can hold them."""
        return arguments_of(self)

    def __call__(self, *arguments, **settings):
        raise TypeError(f'{type(self).__name__}: no function; call its value_and_gradient(y, targets)')

    def _checked(self, y, targets, sample_weight):
        """Return predictions, targets and weights, or None for these, as arrays that fit each other."""
        y = as_numbers(y, 'predictions')
        if y.ndim < 2 or len(y) == 0:
            raise ValueError(f'predictions: expected (N, outputs) with N at least 1, got {y.shape}')
        y = as_kernels_read(y, y.dtype if y.dtype == np.float64 else np.float32)
        targets = self.prepare(targets, y.shape[1:], y.dtype)
        if len(targets) != len(y):
            raise ValueError(f'targets: expected {len(y)}, one a prediction, got {len(targets)}')
        if sample_weight is not None:
            sample_weight = sample_weights(sample_weight, len(y), y.dtype)
        return y, targets, sample_weight


def value_and_gradient(loss, y, targets, sample_weight=None):
    """Call a loss, which may be of the user's own, and check what it returns.

    Raises:
        TypeError, ValueError: it is no pair of a number and an array of y's shape and dtype.
    """
    if targets.dtype.kind == 'f':
        targets = targets.astype(y.dtype, copy=False)
    found = loss.value_and_gradient(y, targets, *(() if sample_weight is None else (sample_weight,)))
    where = f'{type(loss).__name__}.value_and_gradient'
    pair = isinstance(found, tuple) and len(found) == 2
    if (
        not pair
        or np.shape(found[0]) != ()
        or np.asarray(found[0]).dtype.kind not in 'iuf'
        or not isinstance(found[1], np.ndarray)
    ):
        raise TypeError(f'{where}: expected it to return (mean loss, gradient), got {found!r:.60}')
    value, gradient = found
    if gradient.shape != y.shape or gradient.dtype != y.dtype:
        raise ValueError(
            f'{where}: expected a gradient of shape {y.shape} and {y.dtype}, got {gradient.shape} and {gradient.dtype}'
        )
    return float(value), gradient


class CategoricalCrossEntropy(Loss):
    """-log of the probability that the prediction gives to the true class, in nats.

    Targets are class indices (N,) or one-hot rows (N, classes). For the array that a `Softmax` layer returned, or a
    network that ends with one, loss and gradient are computed from the softmax's input, the logits, as one stable step:
    the gradient by the logits is (softmax - one-hot) / N. Other probabilities count as at least 1e-7.

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

    def __init__(self, from_logits=False, label_smoothing=0.0):
        self.from_logits = true_or_false(from_logits, 'from_logits')
        self.label_smoothing = non_negative(label_smoothing, 'label_smoothing', below=1)

    def prepare(self, targets, output_shape, dtype, what='targets'):
        if len(output_shape) != 1 or output_shape[0] < 2:
            raise ValueError(
                f'CategoricalCrossEntropy: expected predictions (N, classes), got {batch_shape(output_shape)}'
            )
        return class_labels(targets, output_shape[0], what)

    def measures_accuracy(self, targets):
        return True

    def count_correct(self, y, targets):
        return int((y.argmax(axis=1) == targets).sum())

    @np.errstate(over='ignore', invalid='ignore')
    def value_and_gradient(self, y, targets, sample_weight=None):
        known = None if self.from_logits else logits.logits_by_probabilities.find(y)
        y, targets, sample_weight = self._checked(y, targets, sample_weight)
        if self.from_logits:
            losses, gradient = self._of_logits(y, targets)
        else:
            # What a softmax made is as exact as it looks, down to the smallest number.
            smallest = self.SMALLEST if known is None else np.finfo(y.dtype).tiny
            losses, gradient = self._of_probabilities(y, targets, smallest)
        gradient = weigh(gradient, sample_weight)
        if known is not None:  # Softmax.backward will take this gradient instead
            losses, dlogits = self._of_logits(known, targets)
            logits.dlogits_by_dy.remember(gradient, weigh(dlogits, sample_weight))
        return mean_of(losses, sample_weight), gradient

    def _of_logits(self, x, labels):
        """Return the loss of each sample, (N,), and the gradient of their mean by logits."""
        losses, probabilities = np.empty(len(x), x.dtype), np.empty_like(x)
        kernels.current().softmax_cross_entropy_forward(x, labels, probabilities, losses, self.label_smoothing, 1)
        gradient = probabilities  # the kernel writes it in their place
        kernels.current().softmax_cross_entropy_backward(probabilities, labels, gradient, self.label_smoothing, 1)
        return losses, gradient

    def _of_probabilities(self, y, labels, smallest):
        """Return the loss of each sample, (N,), and the gradient of their mean by probabilities."""
        if ((y < -ROUNDING) | (y > 1 + ROUNDING)).any():
            raise ValueError('predictions: expected probabilities from 0 to 1; for logits, use from_logits=True')
        N, C = y.shape
        y = np.maximum(y, smallest)
        target = np.full_like(y, self.label_smoothing / C)
        target[np.arange(N), labels] += 1 - self.label_smoothing
        return -(target * np.log(y)).sum(axis=1), -target / (N * y)


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

    def count_correct(self, y, targets):
        if y.shape[1] == 1:
            return int(((y > 0.5) == (targets > 0.5)).sum())
        return int((y.argmax(axis=1) == targets.argmax(axis=1)).sum())

    @np.errstate(over='ignore', invalid='ignore')
    def value_and_gradient(self, y, targets, sample_weight=None):
        y, targets, sample_weight = self._checked(y, targets, sample_weight)
        difference = np.subtract(y, targets, dtype=y.dtype)
        losses = np.square(difference).reshape(len(y), -1).mean(axis=1)
        return mean_of(losses, sample_weight), weigh(difference * (2 / difference.size), sample_weight)


def sample_weights(weights, samples, dtype, prefix=''):
    """Return weights (N,) of a dtype, or raise a ValueError unless they are so many numbers of at least 0."""
    weights = as_numbers(weights, f'{prefix}sample_weight')
    if weights.shape != (samples,):
        raise ValueError(f'{prefix}sample_weight: expected shape ({samples},), one a sample, got {weights.shape}')
    with np.errstate(over='ignore'):
        read = as_kernels_read(weights, dtype)
    wrong = np.flatnonzero(~((read >= 0) & (read < math.inf)))
    if len(wrong):
        raise ValueError(
            f'{prefix}sample_weight: expected finite numbers of {dtype}, at least 0, '
            f'got {weights[wrong[0]]} at position {wrong[0]}'
        )
    return read


def mean_of(losses, weights):
    """Return the mean of weighted losses (N,) as a float."""
    return float((losses if weights is None else losses * weights).mean(dtype=np.float64))


def weigh(gradient, weights):
    """Return the gradient of weighted losses, in place."""
    if weights is not None:
        gradient *= np.asarray(weights).reshape(-1, *[1] * (gradient.ndim - 1))
    return gradient


LOSSES = {kind.__name__: kind for kind in (CategoricalCrossEntropy, MeanSquaredError)}
# Names that `as_loss` knows.
NAMES = {
    'categorical_crossentropy': CategoricalCrossEntropy,
    'sparse_categorical_crossentropy': CategoricalCrossEntropy,
    'cross_entropy': CategoricalCrossEntropy,
    'mean_squared_error': MeanSquaredError,
    'mse': MeanSquaredError,
    **{name.lower(): kind for name, kind in LOSSES.items()},
}


def as_loss(loss):
    """Return a `Loss` as it is; for a name such as 'categorical_crossentropy' or 'mse', a new one with its defaults.

    Raises:
        TypeError: it is neither a loss nor a name.
        ValueError: no loss has that name.
    """
    if isinstance(loss, str):
        if loss.lower() in FOREIGN_LOSSES:
            raise ValueError(f'loss: {loss!r} is here {FOREIGN_LOSSES[loss.lower()]}')
        if loss.lower() not in NAMES:
            raise ValueError(f'loss: expected one of {", ".join(map(repr, NAMES))}, got {loss!r}')
        return NAMES[loss.lower()]()
    if isinstance(loss, type) and issubclass(loss, Loss):
        raise TypeError(f'loss: {loss.__name__} is a class; call it: {loss.__name__}()')
    if not isinstance(loss, Loss):
        raise TypeError(f"loss: expected a cnnx.Loss such as CategoricalCrossEntropy(), or 'mse', got {loss!r}")
    return loss


__getattr__ = explain_names(__name__)
