"""Array data: samples and targets in arrays, checked once and read a batch at a time."""

import copy
import inspect
import math
import numbers

import numpy as np

from cnnx._util.arrays import as_kernels_read
from cnnx._util.validation import is_whole, non_negative
from cnnx.losses import CategoricalCrossEntropy, sample_weights, weigh


class ArrayData:
    """Samples x and targets y, checked against a network; errors begin with `prefix`.

    Attributes:
        size: how many samples there are.
        x, targets: as kernels and the loss take them, but that x keeps its dtype.
        weights: how much each sample counts in the loss, (N,), or each position, (N, ...); None where all count 1.
        direct: whether kernels can read x as it is.
    """

    def __init__(self, network, x, y, weights=None, prefix=''):
        self._prefix, self._loss = prefix, network.loss
        self.x = network.check_samples(x, f'{prefix}x')
        self.size, self.dtype = len(self.x), network.dtype
        self.targets = network.loss.prepare(y, network.layers[-1].shape, network.dtype, f'{prefix}y')
        self.measures_accuracy = network.loss.measures_accuracy(self.targets)
        if self.size != len(self.targets):
            raise ValueError(f'{prefix}expected as many samples as targets, got {self.size} and {len(self.targets)}')
        if self.size == 0:
            raise ValueError(f'{prefix}expected at least one sample, got none')
        self.direct = self.x.dtype == self.dtype and self.x.dtype.isnative and self.x.flags.c_contiguous
        self.weights = weights
        if weights is not None:
            check_takes_weights(network.loss, f'{prefix}sample_weight')
            shape = self.size, *network.layers[-1].shape[:-1]
            self.weights = sample_weights(weights, shape, network.dtype, prefix)

    def __len__(self):
        return self.size

    def steps(self, batch_size):
        """Return how many batches make up an epoch."""
        return -(-self.size // batch_size)

    def batches(self, batch_size, order=None, epoch=1, done=0, unseen=0):
        """Yield (data, index) for each batch of an epoch that is not done: `data.batch(index)` reads it.

        Here `data` is `self` each time; other kinds of data make a new object for each batch.

        Args:
            batch_size: samples to a batch; the last one has what is left.
            order: of the samples, (N,) int64; None for the one that they are in.
            epoch, unseen: not used here.
            done: how many batches are done.
        """
        order = np.arange(self.size) if order is None else order
        for first in range(done * batch_size, self.size, batch_size):
            yield self, order[first : first + batch_size]

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
        part = copy.copy(self)
        part.x, part.targets, *weights = (array[index] for array in self.arrays)
        part.size, part.weights = len(part.x), weights[0] if weights else None
        return part

    def check_weights(self, which='all samples'):
        """Raise a ValueError that names them if none of the samples weighs more than 0, or all are ignored."""
        if self._loss.count_targets(self.targets) == 0:
            raise ValueError(f'{self._prefix}y: all targets of {which} are the ignore_label')
        if self.weights is not None and not self.weights.any():
            raise ValueError(f'{self._prefix}sample_weight: {which} weigh 0 in {self.dtype}')

    def weigh_classes(self, weights, network):
        """Multiply the weights by those of the targets' classes: a dict by class, others weighing 1."""
        if not isinstance(network.loss, CategoricalCrossEntropy):
            kind = type(network.loss).__name__
            raise ValueError(f'class_weight: expected a CategoricalCrossEntropy, the loss is {kind}')
        classes = network.layers[-1].shape[-1]
        if not isinstance(weights, dict):
            raise ValueError(f'class_weight: expected a dict such as {{0: 1.0, 1: 2.5}}, got {weights!r}')
        of_target = np.ones(self.targets.shape, self.dtype)
        if self.weights is not None:
            of_target = weigh(of_target, self.weights)
        for label, weight in weights.items():
            if not is_whole(label) or label < 0:
                raise ValueError(f'class_weight: expected classes as whole numbers of at least 0, got {label!r}')
            if label >= classes:
                raise ValueError(f'class_weight: no class {label}; there are classes 0 to {classes - 1}')
            with np.errstate(over='ignore'):
                of_target[self.targets == label] *= non_negative(weight, f'class_weight[{label}]')
        if not np.isfinite(of_target).all():
            raise ValueError(f'class_weight: samples would weigh more than {self.dtype} can hold')
        if not of_target.any():
            raise ValueError('class_weight: all samples would weigh 0; give a class that there is a weight')
        self.weights = of_target


def check_takes_weights(loss, what):
    """Raise a ValueError if a loss of the user's own takes no weights of samples."""
    if 'sample_weight' not in inspect.signature(loss.value_and_gradient).parameters:
        name = f'{type(loss).__name__}.value_and_gradient'
        raise ValueError(f'{what}: {name} takes no weights; give it a parameter sample_weight=None')


def split_off(samples, fraction):
    """Return the samples without the last ones, that fraction of all, and those."""
    if isinstance(fraction, bool) or not isinstance(fraction, numbers.Real) or not 0 < fraction < 1:
        raise ValueError(f'validation_split: expected a number between 0 and 1, got {fraction!r}')
    # 1 - 0.9 is a little less than 0.1.
    kept = math.floor(len(samples) * (1 - fraction + 1e-12))
    if not 0 < kept < len(samples):
        raise ValueError(
            f'validation_split: {fraction} of {len(samples)} samples leaves nothing to '
            f'{"train on" if kept == 0 else "validate with"}'
        )
    parts = samples.part(slice(kept)), samples.part(slice(kept, None))
    for part, use in zip(parts, ('leaves to train on', 'takes to validate with'), strict=True):
        part.check_weights(f'all samples that validation_split {use}')
    return parts
