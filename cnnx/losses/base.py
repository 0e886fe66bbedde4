"""What every loss has: the base class of losses, checks of targets and weights, means of losses."""

import math

import numpy as np

from cnnx._util.arrays import as_kernels_read, as_numbers, in_chunks
from cnnx._util.representation import ReprFromArguments, arguments_of
from cnnx._util.windows import batch_shape

# How far below 0 or above 1 rounding may bring probabilities.
ROUNDING = 1e-3


class Loss(ReprFromArguments):
    """The mean, over the samples of a batch, of how far predictions are from their targets.

    A loss of your own is a subclass that defines `value_and_gradient(self, y, targets)`, and nothing else. With one
    more parameter, `sample_weight=None`, it takes weights of samples too. Keep the constructor's arguments in
    attributes of their names, and files can hold the loss. By default, targets are an array of numbers with one entry a
    sample, and there is no accuracy; the other methods are there to change that.
    """

    adjustable = ()  # as of a layer

    def value_and_gradient(self, y, targets, sample_weight=None):
        """Return the mean loss of a batch, a float, and its gradient by y, an array of y's shape and dtype.

        Args:
            y: predictions (N, ...).
            targets: what they should be, one entry a sample.
            sample_weight: how much each sample counts, (N,), or each position of predictions (N, ..., outputs),
                (N, ...); None where all count 1. The loss is the sum of the weighted losses, divided by their number,
                as in Keras.

        Raises:
            ValueError: there is no sample, or targets do not fit y.
        """
        kind = type(self).__name__
        raise NotImplementedError(f'{kind}.value_and_gradient: define value_and_gradient(self, y, targets)')

    def prepare(self, targets, output_shape, dtype, what='targets'):
        """Return targets as `value_and_gradient` takes them, or raise a ValueError that says which one does not fit.

        Prepared targets are prepared again before each batch is computed by itself: they must come out as they are.
        """
        return as_numbers(targets, what)

    def count_targets(self, targets):
        """Return how many prepared targets the loss and the accuracy of a batch are means over; here, the samples."""
        return len(targets)

    def measures_accuracy(self, targets):
        """Whether accuracy is defined for prepared targets."""
        return False

    def count_correct(self, y, targets):
        """Return how many predictions are right."""
        return 0

    def as_scores(self, y):
        """Return predictions as metrics take them: of probabilities, 1/2 is the middle."""
        return y

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
            sample_weight = sample_weights(sample_weight, y.shape[:-1], y.dtype)
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


def place_in(shape, flat):
    """Return where the entry of a flattened array of a shape stands: a number in a vector, else a tuple."""
    place = tuple(map(int, np.unravel_index(flat, shape)))
    return place[0] if len(place) == 1 else place


def targets_like_outputs(targets, output_shape, what):
    """Return targets of the shape of predictions (N, ...); where these are (N, ..., 1), (N, ...) will do.

    Raises:
        ValueError: they have another shape.
    """
    targets = as_numbers(targets, what)
    if output_shape[-1] == 1 and targets.shape[1:] == tuple(output_shape[:-1]):
        targets = targets[..., np.newaxis]
    if targets.shape[1:] != tuple(output_shape):
        raise ValueError(f'{what}: expected shape {batch_shape(output_shape)}, got {targets.shape}')
    return targets


def check_range(targets, what):
    """Raise a ValueError that names the first target that is not from 0 to 1."""
    for first, rows in in_chunks(targets):
        wrong = np.flatnonzero(~((rows >= 0) & (rows <= 1)))
        if len(wrong):
            place = place_in(targets.shape, first * targets[0].size + wrong[0])
            raise ValueError(
                f'{what}: expected numbers from 0 to 1, got {rows.reshape(-1)[wrong[0]]} at position {place}'
            )


def check_probabilities(y, hint=''):
    """Raise a ValueError where predictions are further than rounding from 0 to 1. NaN shows in the loss."""
    if ((y < -ROUNDING) | (y > 1 + ROUNDING)).any():
        raise ValueError(f'predictions: expected probabilities from 0 to 1{hint}')


def sample_weights(weights, shape, dtype, prefix=''):
    """Return weights of a dtype, or raise a ValueError unless they are numbers of at least 0.

    Args:
        weights: one a sample, or one a position.
        shape: (N, ...), of the positions that predictions are made for; (N,) for a row of outputs a sample.
    """
    weights = as_numbers(weights, f'{prefix}sample_weight')
    if weights.shape not in (shape, shape[:1]):
        maps = f', or {shape}, one a position' if len(shape) > 1 else ''
        raise ValueError(f'{prefix}sample_weight: expected shape {shape[:1]}, one a sample{maps}, got {weights.shape}')
    with np.errstate(over='ignore'):
        read = as_kernels_read(weights, dtype)
    wrong = np.flatnonzero(~((read >= 0) & (read < math.inf)))
    if len(wrong):
        raise ValueError(
            f'{prefix}sample_weight: expected finite numbers of {dtype}, at least 0, '
            f'got {weights.reshape(-1)[wrong[0]]} at position {place_in(weights.shape, wrong[0])}'
        )
    return read


def mean_of(losses, weights, count):
    """Return the sum of weighted losses, divided by their count; 0 where there are none.

    Args:
        losses: (N, ...).
        weights: (N,) or (N, ...), with no more axes than the losses; or None.
        count: how many losses there are.
    """
    weighted = losses if weights is None else losses * _spread(weights, losses.ndim)
    return float(weighted.sum(dtype=np.float64) / max(count, 1))


def weigh(gradient, weights):
    """Return the gradient of weighted losses, in place."""
    if weights is not None:
        gradient *= _spread(weights, gradient.ndim)
    return gradient


def _spread(weights, axes):
    weights = np.asarray(weights)
    return weights.reshape(*weights.shape, *[1] * (axes - weights.ndim))
