"""Batch data: batches that an iterable, a function or an iterator gives as they are needed."""

import itertools

import numpy as np

from cnnx._util.validation import function_of, positive_int
from cnnx.losses import BinaryCrossEntropy, CategoricalCrossEntropy
from cnnx.training.array_data import ArrayData


class BatchData:
    """Batches (x, y) or (x, y, sample_weight), checked as they come; those of a list at once, too.

    Args:
        network: that they are for.
        batches: an iterable of them, which an epoch goes through; or a function of the epoch's number, from 1, that
            returns one; or an iterator, which each epoch takes `steps` batches from.
        steps: how many make up an epoch; None for all of an iterable. Where it gives more, an epoch is its first
            ones, each time.
        epochs: how often they will be gone through.
        prefix: what errors begin with.
        steps_name: what errors call the steps.

    Raises:
        ValueError: it is none of these, an iterator that is to last for several epochs, known to be shorter than
            an epoch, or a list with a batch that does not fit the network.
    """

    def __init__(self, network, batches, steps=None, epochs=1, prefix='', steps_name='steps_per_epoch'):
        self.size = None
        # What an epoch's metrics are, must be known before the first batch comes.
        self.measures_accuracy = isinstance(network.loss, (BinaryCrossEntropy, CategoricalCrossEntropy))
        self._network = network
        self._prefix = prefix
        self._steps = None if steps is None else positive_int(steps, steps_name)
        self._batches = batches
        self._iterator = batches if hasattr(batches, '__next__') else None
        if self._iterator is not None:
            if steps is None and epochs > 1:
                raise ValueError(
                    f'{prefix}x: expected what can be gone through {epochs} times, got an iterator; give '
                    f'a list, a function of the epoch that returns an iterator, or {steps_name}'
                )
        elif callable(batches):
            function_of(batches, f'{prefix}x', 'epoch')
        elif _is_iterable(batches):
            self._check_known(steps_name)
        else:
            raise ValueError(f'{prefix}expected arrays x and y, or an iterable of batches (x, y), got {batches!r:.60}')

    def steps(self, batch_size):
        """Return how many batches make up an epoch, or None where that is not known before it is over."""
        return self._steps

    def batches(self, batch_size=None, order=None, epoch=1, done=0, unseen=0):
        """Yield (data, index) for each batch of an epoch that is not done: `data.batch(index)` reads it.

        Args:
            batch_size, order: not used here: batches come as they are.
            epoch: its number, from 1.
            done: how many of its batches to skip.
            unseen: how many of the epochs before it an iterator has not given, which it skips too.

        Raises:
            ValueError: a batch does not fit the network, or there are fewer than there should be.
        """
        batches = self._iterator
        if batches is None:
            batches, unseen = self._of_epoch(epoch), 0
        skipped = unseen * (self._steps or 0) + done
        if skipped and next(itertools.islice(batches, skipped - 1, None), None) is None:
            raise self._ended(epoch, f'before {skipped} that are done')
        batches = itertools.islice(batches, None if self._steps is None else self._steps - done)
        place = done
        for place, batch in enumerate(batches, done + 1):
            samples = self._samples(batch, f'{self._prefix}batch {place} of epoch {epoch}: ')
            yield samples, np.arange(len(samples))
        if place < (self._steps or 1):
            raise self._ended(epoch, f'after {place}')

    def weigh_classes(self, weights, network):
        raise ValueError('class_weight: goes with arrays x and y; batches may have weights of their own')

    def _of_epoch(self, epoch):
        """Return an iterator over the batches of an epoch."""
        batches = self._batches(epoch) if callable(self._batches) else self._batches
        try:
            return iter(batches)
        except TypeError:
            raise ValueError(
                f'{self._prefix}epoch {epoch}: expected batches from the function, got {batches!r:.60}'
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
        if not isinstance(batch, (tuple, list)) or len(batch) not in (2, 3):
            raise ValueError(f'{prefix}expected (x, y) or (x, y, sample_weight), got {type(batch).__name__}')
        samples = ArrayData(self._network, *batch, prefix=prefix)
        samples.measures_accuracy = self.measures_accuracy
        return samples


def as_data(network, x, y=None, sample_weight=None, steps=None, epochs=1, steps_name='steps_per_epoch'):
    """Return x and y as `ArrayData`; without y, the batches that x gives as `BatchData`.

    Raises:
        ValueError: they are neither, or do not fit the network.
    """
    if y is None:
        if hasattr(x, '__array__'):
            raise ValueError('y: expected targets beside the array x, got None')
        if sample_weight is not None:
            raise ValueError('sample_weight: goes with arrays x and y; batches may be (x, y, sample_weight)')
        return BatchData(network, x, steps, epochs, steps_name=steps_name)
    if steps is not None:
        raise ValueError(f'{steps_name}: goes with batches, not with arrays x and y; see batch_size')
    samples = ArrayData(network, x, y, sample_weight)
    samples.check_weights()
    return samples


def as_validation(network, data, steps=None, epochs=1):
    """Return a tuple (x, y) or (x, y, sample_weight) as `ArrayData`, anything else as the `BatchData` that it gives.

    Raises:
        ValueError: it is neither, or does not fit the network.
    """
    prefix = 'validation_data: '
    if not isinstance(data, tuple):
        if hasattr(data, '__array__'):
            raise ValueError(f'{prefix}expected a tuple (x, y), or batches, got an array')
        return BatchData(network, data, steps, epochs, prefix, 'validation_steps')
    if len(data) not in (2, 3):
        raise ValueError(f'{prefix}expected (x, y) or (x, y, sample_weight), got {len(data)} items')
    if steps is not None:
        raise ValueError('validation_steps: goes with batches, not with arrays x and y')
    samples = ArrayData(network, *data, prefix=prefix)
    samples.check_weights()
    return samples


def batches_of_samples(x):
    """Return an iterator over the batches of samples that x gives, or None for an array.

    A batch is an array of samples, or a tuple that begins with one. Lists and tuples are read as one array.

    Raises:
        ValueError: x is a function.
    """
    if callable(x) and not hasattr(x, '__iter__') and not hasattr(x, '__array__'):
        raise ValueError('x: expected samples (N, ...) or an iterable of batches, got a function; call it')
    if hasattr(x, '__array__') or isinstance(x, (list, tuple)) or not _is_iterable(x):
        return None
    # What has a length and can be indexed need not end by itself.
    return (batch[0] if isinstance(batch, (tuple, list)) else batch for batch in itertools.islice(x, _length(x)))


def _is_iterable(batches):
    """Whether a `for` loop goes through it, text and the like left aside."""
    goes_through = hasattr(batches, '__iter__') or hasattr(batches, '__getitem__')
    return goes_through and not isinstance(batches, (str, bytes, dict, set))


def _length(batches):
    """Return how many there are, or None where that is not known."""
    try:
        return len(batches)
    except (NotImplementedError, TypeError):
        return None
