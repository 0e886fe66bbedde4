"""Which layers run as one, and the programs of compiled blocks that run them.

A block computes a few layers in one sweep, so that what lies between them is never stored:
convolution, ReLU and max-pooling; or a dense layer and ReLU. A program carries a tile of samples through all
blocks, forward and back, in one call.
"""

import time
from typing import NamedTuple

import numpy as np

from cnnx import kernels
from cnnx.arrays import array_with_slack
from cnnx.layers import Convolutional, Dense, Flatten, MaxPooling, ReLU, Softmax


class Group(NamedTuple):
    """Layers that run as one block: a weighted layer, and what of ReLU and max-pooling follows it."""

    layers: tuple
    pooling: MaxPooling | None
    relu: bool

    @property
    def weighted(self):
        return self.layers[0]

    @property
    def output_shape(self):
        return self.layers[-1].output_shape

    @property
    def multiply_adds(self):
        return self.weighted.multiply_adds

    @property
    def name(self):
        """Which layers these are: '0-2 Convolutional, ReLU, MaxPooling'."""
        first, last = self.layers[0].index, self.layers[-1].index
        numbers = f'{first}' if first == last else f'{first}-{last}'
        return f'{numbers} {", ".join(type(layer).__name__ for layer in self.layers)}'


def group(layers):
    """Return the groups that layers run in, or None where some of them cannot run in blocks.

    A Flatten moves nothing and belongs to the group before it. A Softmax at the end is left to the caller.
    """
    groups, position = [], 0
    while position < len(layers) and type(layers[position]) in (Convolutional, Dense):
        members = [layers[position]]
        allowed = {ReLU, MaxPooling} if type(members[0]) is Convolutional else {ReLU}
        for layer in layers[position + 1 :]:
            if type(layer) is not Flatten:
                if type(layer) not in allowed:
                    break
                allowed.discard(type(layer))
            else:
                allowed = allowed & {ReLU}
            members.append(layer)
        position += len(members)
        pooling = next((layer for layer in members if type(layer) is MaxPooling), None)
        groups.append(Group(tuple(members), pooling, any(type(layer) is ReLU for layer in members)))
    rest = layers[position:]
    if not groups or not (rest == [] or (len(rest) == 1 and type(rest[0]) is Softmax)):
        return None
    return groups


class Program:
    """A network's compiled blocks with their arrays, for batches of up to `capacity` samples.

    Args:
        groups: as `group` gives them.
        dtype: of weights and computation.
        capacity: the largest batch.
        training: whether there will be backward passes.
        loss: computes cross-entropy from the last block's output, in the same sweep.
        softmax: computes the softmax of the last block's output, in the same sweep.

    Attributes:
        x: (capacity, ...), the batch.
        y: (capacity, ...), the network's output.
        blocks, names: what runs, and which layers it stands for.
        dy: (capacity, ...), the gradient of y, to write between a forward and a backward pass; None if the
            loss is computed in the sweep, or without training.
    """

    def __init__(self, groups, dtype, capacity, *, training=False, loss=False, softmax=False):
        backend = kernels.current()
        self.capacity = capacity
        self.training = training
        self._multiply_adds = sum(group.multiply_adds for group in groups) * (3 if training else 1)

        def buffer(shape):
            return array_with_slack((capacity, *shape), dtype)

        self.x = y = buffer(groups[0].weighted.input_shape)
        self._gathers = [backend.Gather(self.x)]
        blocks, self.dy = [*self._gathers], None
        self.names = ['batch', *(group.name for group in groups)]
        for group in groups:
            x, dx = y, self.dy
            y = buffer(group.output_shape)
            self.dy = buffer(group.output_shape) if training else None
            blocks.append(_block(backend, group, x, y, self.dy, dx))
        self.y = y
        if loss:
            self.labels = np.zeros(capacity, np.int32)
            self._gathers.append(backend.Gather(self.labels))
            dlogits = self.dy if training else buffer(groups[-1].output_shape)
            self._loss = backend.CrossEntropyBlock(y, self.labels, dlogits)
            blocks += [self._gathers[-1], self._loss]
            self.names += ['labels', 'CategoricalCrossEntropy']
        if softmax:
            self.y = buffer(groups[-1].output_shape)
            blocks.append(backend.SoftmaxBlock(y, self.y))
            self.names.append('Softmax')
        self.blocks = blocks
        self._compiled = backend.Program(blocks, capacity)

    def run(self, samples, *, forward=True, backward=False, sources=(), order=None):
        """Run a batch.

        Args:
            samples: how many; from `sources`, or what stands in `x`.
            forward, backward: which passes.
            sources: (x,) or (x, labels): arrays to read the samples from, contiguous, of the program's dtypes.
            order: at which places they stand there, (samples,) int64; None for the first ones.
        """
        for gather, source in zip(self._gathers, sources, strict=False):
            gather.read_from(source)
        threads = kernels.threads_for(samples * self._multiply_adds)
        self._compiled.run(samples, self.training, forward, backward, threads, order)
        if sources:
            for gather in self._gathers:
                gather.read_from(None)

    def times(self, samples):
        """Run a batch block by block on one thread; return the seconds of each block's forward and backward pass.

        What the first block reads and the last one starts from is what the latest `run` left.
        """
        passes = ((True, False), (False, True)) if self.training else ((True, False),)
        seconds = np.zeros((len(self.blocks), 2))
        for column, (forward, backward) in enumerate(passes):
            for i in range(len(self.blocks))[:: 1 if forward else -1]:
                began = time.perf_counter()
                self._compiled.run(samples, self.training, forward, backward, 1, None, i, i + 1)
                seconds[i, column] = time.perf_counter() - began
        return seconds

    def totals(self, samples):
        """Return the sum of the losses of the latest batch, and how many of its samples were classified right."""
        return self._loss.totals(samples)


def _block(backend, group, x, y, dy, dx):
    layer = group.weighted
    weights, bias = layer.parameters
    gradients = (dy, dx, weights.grad, bias.grad) if dy is not None else ()
    if type(layer) is Dense:
        return backend.DenseBlock(
            x.reshape(len(x), -1),
            weights.value,
            bias.value,
            y,
            group.relu,
            *(gradients and (dy, None if dx is None else dx.reshape(len(x), -1), *gradients[2:])),
        )
    (window,) = layer._kernel_options
    shape = group.pooling.output_shape if group.pooling else layer.output_shape
    if dy is not None:
        gradients = (dy.reshape(len(dy), *shape), *gradients[1:])
    return backend.ConvolutionBlock(
        x,
        weights.value,
        bias.value,
        y.reshape(len(y), *shape),
        window,
        layer.output_shape[:2],
        group.pooling and group.pooling._window,
        group.relu,
        *gradients,
    )
