"""Batches as they come, and which of what users give are batches, and which arrays."""

import itertools
import numbers

import numpy as np

from cnnx._util.validation import function_of, positive_int
from cnnx.losses import CategoricalCrossEntropy
from cnnx.training.array_data import ArrayData


class BatchData:
    """Batches (x, y) or (x, y, sample_weight), checked as they come; those of a list or tuple at once, too.

    Args:
        network: that they are for.
        batches: an iterable of them, which is gone through once an epoch; or a function of the epoch's number,
            from 1, that returns one; or an iterator, which each epoch takes `steps` batches from.
        steps: how many make up an epoch; None for all of an iterable. Where it gives more, an epoch is its first
            ones, each time.
        epochs: how often they will be gone through.
        prefix: what errors begin with.
        steps_name: what errors call the steps.

    Raises:
        ValueError: it is none of these, an iterator that is to last for several epochs, known to be shorter than
            an epoch, or a list or tuple with a batch that does not fit the network.
    """

    def __init__(self, network, batches, steps=None, epochs=1, prefix='', steps_name='steps_per_epoch'):
        self.size = None
        # What an epoch's figures are, must be known before the first batch comes.
        self.measures_accuracy = isinstance(network.loss, CategoricalCrossEntropy)
        self._network = network
        self._prefix = prefix
        self._steps = None if steps is None else positive_int(steps, steps_name)
        self._batches = batches
        self._iterator = None
        if hasattr(batches, '__next__'):
            if steps is None and epochs > 1:
                raise ValueError(
                    f'{prefix}x: expected what can be gone through {epochs} times, got an iterator; give '
                    f'a list, a function of the epoch that returns an iterator, or {steps_name}'
                )
            self._iterator = batches
        elif not callable(batches) and not hasattr(batches, '__iter__') and not hasattr(batches, '__getitem__'):
            raise ValueError(f'{prefix}expected arrays x and y, or an iterable of batches (x, y), got {batches!r}')
        elif callable(batches):
            function_of(batches, f'{prefix}x', 'epoch')
        else:
            self._check_known(steps_name)

    def steps(self, batch_size):
        """Return how many batches make up an epoch, or None where that is not known before it is over."""
        return self._steps

    def batches(self, batch_size=None, order=None, epoch=1, done=0, unseen=0):
        """Yield (samples, index) for each batch of an epoch that is not done.

        Args:
            batch_size, order: of no account here: batches come as they are.
            epoch: its number, from 1.
            done: how many of its batches are to be passed over.
            unseen: how many of the epochs before it an iterator has not given, which it passes over too.

        Raises:
            ValueError: a batch does not fit the network, or there are fewer than there should be.
        """
        batches = self._iterator
        if batches is None:
            batches, unseen = self._of_epoch(epoch), 0
        passed_over = unseen * (self._steps or 0) + done
        if passed_over and next(itertools.islice(batches, passed_over - 1, None), None) is None:
            raise self._ended(epoch, f'before {passed_over} that are done')
        batches = itertools.islice(batches, None if self._steps is None else self._steps - done)
        place = done
        for place, batch in enumerate(batches, done + 1):
            samples = self._samples(batch, f'{self._prefix}batch {place} of epoch {epoch}: ')
            yield samples, np.arange(len(samples))
        if place < (self._steps or 1):
            raise self._ended(epoch, f'after {place}')

    def _of_epoch(self, epoch):
        """Return an iterator over the batches of an epoch."""
        batches = self._batches(epoch) if callable(self._batches) else self._batches
        try:
            return iter(batches)
        except TypeError:
            raise ValueError(
                f'{self._prefix}epoch {epoch}: expected batches from the function, got {batches!r}'
            ) from None

    def _check_known(self, steps_name):
        """Raise a ValueError for what is wrong with batches before they are gone through."""
        length = _length(self._batches)
        if length == 0:
            raise ValueError(f'{self._prefix}expected at least one batch, got none')
        if self._steps is None:
            self._steps = length
        elif length is not None and self._steps > length:
            raise ValueError(
                f'{steps_name}: expected at most {length}, as many as there are batches, got {self._steps}'
            )
        if isinstance(self._batches, (list, tuple)):
            for place, batch in enumerate(self._batches[: self._steps], 1):
                self._samples(batch, f'{self._prefix}batch {place}: ')

    def _ended(self, epoch, where):
        expected = 'at least one' if self._steps is None else self._steps
        return ValueError(f'{self._prefix}the batches of epoch {epoch} ended {where}, expected {expected}')

    def _samples(self, batch, prefix):
        if not _is_batch(batch):
            raise ValueError(f'{prefix}expected (x, y) or (x, y, sample_weight), got {type(batch).__name__}')
        samples = ArrayData(self._network, *batch, prefix=prefix)
        samples.measures_accuracy = self.measures_accuracy
        return samples

    def weigh_classes(self, weights, network):
        raise ValueError('class_weight: goes with arrays x and y; batches may have weights of their own')


def are_batches(x, y):
    """Whether `x` is to give batches: it comes without targets, and is no array."""
    return y is None and not hasattr(x, '__array__') and not isinstance(x, (numbers.Number, str, bytes, type(None)))


def _is_batch(batch):
    return isinstance(batch, (tuple, list)) and len(batch) in (2, 3)


def _length(batches):
    """Return how many there are, or None where they do not tell."""
    try:
        return len(batches)
    except (NotImplementedError, TypeError):
        return None


def batches_of_samples(x, input_shape):
    """Return an iterator over the batches that x gives, of samples alone; or None where x is an array, or makes one.

    Raises:
        ValueError: x is a function.
    """
    if hasattr(x, '__array__') or isinstance(x, (dict, set, str, bytes)):
        return None
    if not hasattr(x, '__iter__') and not hasattr(x, '__getitem__'):
        if callable(x):
            raise ValueError('x: expected samples (N, ...) or an iterable of batches, got a function; call it')
        return None
    if isinstance(x, (list, tuple)):
        first = x[0] if x else None
        first = first[0] if isinstance(first, (list, tuple)) and first else first
        if not hasattr(first, '__array__') or np.ndim(first) <= len(input_shape):
            return None
    # What has a length and can be indexed need not end by itself.
    return (_without_targets(batch, input_shape) for batch in itertools.islice(x, _length(x)))


def _without_targets(batch, input_shape):
    with_others = isinstance(batch, (list, tuple)) and batch and _is_array_of_samples(batch[0], input_shape)
    return batch[0] if with_others else batch


def _is_array_of_samples(x, input_shape):
    """Whether x is an array, and not of a single sample."""
    return hasattr(x, '__array__') and np.shape(x) != input_shape


def as_source(network, x, y=None, sample_weight=None, steps=None, epochs=1, steps_name='steps_per_epoch'):
    """Return x and y as `ArrayData`, or the batches that x gives as a `BatchData`.

    Raises:
        ValueError: they are neither, or do not fit the network.
    """
    if not are_batches(x, y):
        if y is None and not hasattr(x, '__array__'):
            raise ValueError(f'x: expected an array of samples, with targets y, or batches (x, y), got {x!r:.40}')
        if y is None:
            raise ValueError('y: expected targets beside the array x, got None')
        if steps is not None:
            raise ValueError(f'{steps_name}: goes with batches, not with arrays x and y; see batch_size')
        samples = ArrayData(network, x, y, sample_weight)
        samples.check_weights()
        return samples
    if sample_weight is not None:
        raise ValueError('sample_weight: goes with arrays x and y; batches may be (x, y, sample_weight)')
    return BatchData(network, x, steps, epochs, steps_name=steps_name)


def as_validation(network, data, steps=None, epochs=1):
    """Return what is validated with, (x, y) or (x, y, sample_weight) as `ArrayData`, or batches as a `BatchData`.

    Raises:
        ValueError: they are neither, or do not fit the network.
    """
    prefix = 'validation_data: '
    if are_batches(data, None) and _gives_batches(data, network.layers[0].input_shape):
        return BatchData(network, data, steps, epochs, prefix, 'validation_steps')
    if not _is_batch(data):
        raise ValueError(f'{prefix}expected (x, y), (x, y, sample_weight) or batches, got {type(data).__name__}')
    if steps is not None:
        raise ValueError('validation_steps: goes with batches, not with arrays x and y')
    samples = ArrayData(network, *data, prefix=prefix)
    samples.check_weights()
    return samples


def _gives_batches(data, input_shape):
    """Whether data that is no array is to be gone through, and is not (x, y) or (x, y, sample_weight) itself."""
    if not isinstance(data, (tuple, list)):
        return True
    # (x, y) of two or three samples each, in lists, looks like so many batches.
    return all(map(_is_batch, data)) and (
        not _is_batch(data) or all(_is_array_of_samples(x, input_shape) for x, *_ in data)
    )
