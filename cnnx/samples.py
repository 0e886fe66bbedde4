"""What networks learn from and are measured on: arrays of samples, or batches as they come."""

import functools
import itertools
import math
import numbers

import numpy as np

from cnnx.arrays import as_kernels_read, as_numbers, non_negative
from cnnx.geometry import is_whole, positive_int
from cnnx.losses import CategoricalCrossEntropy


class Samples:
    """x and y, checked against a network, and read a batch at a time; errors begin with `prefix`.

    Attributes:
        weights: how much each sample counts in the loss, (N,), or None where all count 1.
    """

    def __init__(self, network, x, y, weights=None, prefix=''):
        self.x = network.check_samples(x, f'{prefix}x')
        self.dtype = network.dtype
        self.targets = network.loss.prepare(y, network.layers[-1].output_shape, network.dtype, f'{prefix}y')
        self.measures_accuracy = network.loss.measures_accuracy(self.targets)
        if len(self.x) != len(self.targets):
            raise ValueError(f'{prefix}expected as many samples as targets, got {len(self.x)} and {len(self.targets)}')
        if len(self.x) == 0:
            raise ValueError(f'{prefix}expected at least one sample, got none')
        self.weights = None if weights is None else sample_weights(weights, len(self), network.dtype, prefix)

    def __len__(self):
        return len(self.x)

    @property
    def size(self):
        """How many samples there are."""
        return len(self.x)

    def steps(self, batch_size):
        """Return how many batches make up an epoch."""
        return -(-len(self) // batch_size)

    def batches(self, batch_size, order=None, epoch=1, done=0, unseen=0):
        """Yield (samples, index) for each batch of an epoch that is not done.

        Args:
            batch_size: samples to a batch; the last one has what is left.
            order: of the samples, (N,) int64; None for the one that they are in.
            epoch, unseen: of no account here.
            done: how many batches are done.
        """
        order = np.arange(len(self)) if order is None else order
        for first in range(done * batch_size, len(self), batch_size):
            yield self, order[first : first + batch_size]

    @functools.cached_property
    def direct(self):
        """Whether kernels can read x as it is."""
        return self.x.dtype == self.dtype and self.x.dtype.isnative and self.x.flags.c_contiguous

    @property
    def arrays(self):
        """(x, targets), and weights where there are some."""
        return (self.x, self.targets) if self.weights is None else (self.x, self.targets, self.weights)

    def batch(self, index):
        """Return the `arrays` of some samples, x as kernels take it."""
        x, *others = (array[index] for array in self.arrays)
        return as_kernels_read(x, self.dtype), *others

    def part(self, index):
        """Return some of the samples, of a slice, without a copy."""
        part = object.__new__(Samples)
        vars(part).update(vars(self))
        part.x, part.targets, *weights = (array[index] for array in self.arrays)
        part.weights = weights[0] if weights else None
        return part

    def weigh_classes(self, weights, loss):
        """Multiply the samples' weights by those of their classes: a dict by class, others weighing 1."""
        if not isinstance(loss, CategoricalCrossEntropy):
            raise ValueError(f'class_weight: expected a CategoricalCrossEntropy, the loss is {type(loss).__name__}')
        if not isinstance(weights, dict):
            raise ValueError(f'class_weight: expected a dict such as {{0: 1.0, 1: 2.5}}, got {weights!r}')
        of_sample = np.ones(len(self), self.dtype) if self.weights is None else self.weights.copy()
        for label, weight in weights.items():
            if not is_whole(label) or label < 0:
                raise ValueError(f'class_weight: expected classes as whole numbers of at least 0, got {label!r}')
            of_sample[self.targets == label] *= non_negative(weight, f'class_weight[{label}]')
        if not of_sample.any():
            raise ValueError('class_weight: all samples would weigh 0; give a class that there is a weight')
        self.weights = of_sample


def sample_weights(weights, samples, dtype, prefix=''):
    """Return weights (N,), or raise a ValueError unless they are so many numbers of at least 0, some of them larger."""
    weights = as_numbers(weights, f'{prefix}sample_weight')
    if weights.shape != (samples,):
        raise ValueError(f'{prefix}sample_weight: expected shape ({samples},), one a sample, got {weights.shape}')
    wrong = np.flatnonzero(~((weights >= 0) & (weights < math.inf)))
    if len(wrong):
        raise ValueError(
            f'{prefix}sample_weight: expected finite numbers of at least 0, '
            f'got {weights[wrong[0]]} at position {wrong[0]}'
        )
    if not weights.any():
        raise ValueError(f'{prefix}sample_weight: all samples weigh 0')
    return as_kernels_read(weights, dtype)


def split_off(samples, fraction):
    """Return the samples without the last ones, that fraction of all, and those."""
    if isinstance(fraction, bool) or not isinstance(fraction, numbers.Real) or not 0 < fraction < 1:
        raise ValueError(f'validation_split: expected a number between 0 and 1, got {fraction!r}')
    kept = math.floor(len(samples) * (1 - fraction))
    if not 0 < kept < len(samples):
        raise ValueError(
            f'validation_split: {fraction} of {len(samples)} samples leaves nothing to '
            f'{"train on" if kept == 0 else "validate with"}'
        )
    return samples.part(slice(kept)), samples.part(slice(kept, None))


class Stream:
    """Batches (x, y) or (x, y, sample_weight), checked one by one as they come.

    Args:
        network: that they are for.
        batches: an iterable of them, which is gone through once an epoch; or a function of the epoch's number,
            from 1, that returns one; or an iterator, which each epoch takes `steps` batches from.
        steps: how many make up an epoch; None for all of an iterable.
        epochs: how often they will be gone through.
        prefix: what errors begin with.

    Raises:
        ValueError: it is none of these, or an iterator that is to last for several epochs.
    """

    def __init__(self, network, batches, steps=None, epochs=1, prefix=''):
        self.size = None
        # What an epoch's figures are, must be known before the first batch comes.
        self.measures_accuracy = isinstance(network.loss, CategoricalCrossEntropy)
        self._network = network
        self._prefix = prefix
        self._steps = None if steps is None else positive_int(steps, f'{prefix}steps_per_epoch')
        self._batches = batches
        self._iterator = None
        if hasattr(batches, '__next__'):
            if steps is None and epochs > 1:
                raise ValueError(
                    f'{prefix}x: expected what can be gone through {epochs} times, got an iterator that ends; give '
                    'a list, a function of the epoch that returns an iterator, or steps_per_epoch'
                )
            self._iterator = batches
        elif not callable(batches) and not hasattr(batches, '__iter__') and not hasattr(batches, '__getitem__'):
            raise ValueError(f'{prefix}expected arrays x and y, or an iterable of batches (x, y), got {batches!r}')
        elif steps is None and hasattr(batches, '__len__'):
            self._steps = len(batches)
            if self._steps == 0:
                raise ValueError(f'{prefix}expected at least one batch, got none')

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
            batches, unseen = iter(self._batches(epoch) if callable(self._batches) else self._batches), 0
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

    def _ended(self, epoch, where):
        expected = 'at least one' if self._steps is None else self._steps
        return ValueError(f'{self._prefix}the batches of epoch {epoch} ended {where}, expected {expected}')

    def _samples(self, batch, prefix):
        if not isinstance(batch, (tuple, list)) or len(batch) not in (2, 3):
            raise ValueError(f'{prefix}expected (x, y) or (x, y, sample_weight), got {type(batch).__name__}')
        samples = Samples(self._network, *batch, prefix=prefix)
        samples.measures_accuracy = self.measures_accuracy
        return samples

    def weigh_classes(self, weights, loss):
        raise ValueError('class_weight: goes with arrays x and y; batches may have weights of their own')


def are_batches(x, y):
    """Whether `x` is to give batches: it comes without targets, and is no array."""
    return y is None and not hasattr(x, '__array__') and not isinstance(x, (numbers.Number, str, bytes, type(None)))


def is_iterable_of_batches(x):
    """Whether x is gone through batch by batch, and not an array, or what makes one."""
    return (
        hasattr(x, '__iter__')
        and not hasattr(x, '__array__')
        and not isinstance(x, (list, tuple, dict, set, str, bytes))
    )


def as_source(network, x, y=None, sample_weight=None, steps=None, epochs=1):
    """Return x and y as `Samples`, or the batches that x gives as a `Stream`.

    Raises:
        ValueError: they are neither, or do not fit the network.
    """
    if not are_batches(x, y):
        if y is None:
            raise ValueError('y: expected targets beside the array x, got None')
        if steps is not None:
            raise ValueError('steps_per_epoch: goes with batches, not with arrays x and y; see batch_size')
        return Samples(network, x, y, sample_weight)
    if sample_weight is not None:
        raise ValueError('sample_weight: goes with arrays x and y; batches may be (x, y, sample_weight)')
    return Stream(network, x, steps, epochs)
