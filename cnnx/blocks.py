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

    Blocks know no max-pooling whose windows reach over the edges of the image.
    A Flatten moves nothing and belongs to the group before it. A Softmax at the end is left to the caller.
    """
    groups, position = [], 0
    while position < len(layers) and type(layers[position]) in (Convolutional, Dense):
        members = [layers[position]]
        allowed = {ReLU, MaxPooling} if type(members[0]) is Convolutional else {ReLU}
        for layer in layers[position + 1 :]:
            if type(layer) is not Flatten:
                if type(layer) not in allowed or (type(layer) is MaxPooling and layer.pads):
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
    """A network's blocks with their arrays, for batches of up to `capacity` samples.

    Args:
        groups: as `group` gives them.
        dtype: of weights and computation.
        capacity: the largest batch.
        training: whether there will be backward passes.
        loss: computes cross-entropy from the last block's output, in the same sweep.
        softmax: computes the softmax of the last block's output, in the same sweep.

    Attributes:
        threads: how many it can use.
        blocks, names: what runs, and which layers it stands for.
        y: (capacity, ...), the network's output.
        dy: (capacity, ...), the gradient of y, to write between a forward and a backward pass.
    """

    def __init__(self, groups, dtype, capacity, *, training=False, loss=False, softmax=False):
        self.capacity = capacity
        self.training = training
        self.threads = kernels.num_threads()
        self._dtype = dtype
        self._backend = kernels.current()
        self._multiply_adds = sum(group.multiply_adds for group in groups) * (3 if training else 1)
        # With the loss in the sweep, or without a backward pass, a tile is through when the next one comes.
        self._in_tiles = self._backend.Program.tile is not None and (loss or not training)
        self.blocks, self.names, self._gathers = [], [], []
        self._add_groups(groups, softmax)
        if loss:
            self._add_loss()
        if softmax:
            self._add_softmax()
        self._compiled = self._backend.Program(self.blocks, capacity, self.threads)

    def _add_groups(self, groups, softmax):
        x_local = self._is_local(groups[0])
        y, dy = self._buffer(groups[0].weighted.input_shape, x_local), None
        self._add_gather('batch', y, x_local)
        for group, following in zip(groups, [*groups[1:], None], strict=True):
            y_local = self._is_local(following) if following else softmax and self._in_tiles
            x, dx = y, dy
            y = self._buffer(group.output_shape, y_local)
            dy = self._buffer(group.output_shape, y_local) if self.training else None
            self._add(group.name, _block(self._backend, group, x, y, dy, dx), x_local, y_local)
            x_local = y_local
        self.y, self.dy = y, dy

    def _add_loss(self):
        labels = np.zeros(self.capacity, np.int32)
        dlogits = np.empty_like(self.y) if self.dy is None else self.dy
        self._add_gather('labels', labels)
        self._loss = self._backend.CrossEntropyBlock(self.y, labels, dlogits)
        self._add('CategoricalCrossEntropy', self._loss)

    def _add_softmax(self):
        logits, self.y = self.y, self._buffer(self.y.shape[1:])
        self._add('Softmax', self._backend.SoftmaxBlock(logits, self.y), self._in_tiles)

    def _add_gather(self, name, batch, local=False):
        self._gathers.append(self._backend.Gather(batch))
        self._add(name, self._gathers[-1], False, local)

    def _add(self, name, block, x_local=False, y_local=False):
        block.x_local, block.y_local = x_local, y_local
        self.blocks.append(block)
        self.names.append(name)

    def _is_local(self, consumer):
        """Whether what a group reads may hold tiles alone: a dense layer's gradient is made from whole batches."""
        return self._in_tiles and not (self.training and type(consumer.weighted) is Dense)

    def _buffer(self, shape, local=False):
        samples = self.threads * self._backend.Program.tile if local else self.capacity
        return array_with_slack((samples, *shape), self._dtype)

    def run(self, samples, *, forward=True, backward=False, sources=(), order=None):
        """Run a batch.

        Args:
            samples: how many.
            forward, backward: which passes.
            sources: (x,) or (x, labels): arrays to read the samples from, contiguous, of the program's dtypes;
                none for what a forward pass was run over before.
            order: at which places they stand there, (samples,) int64; None for the first ones.
        """
        for gather, source in zip(self._gathers, sources, strict=False):
            gather.read_from(source)
        threads = kernels.threads_for(samples * self._multiply_adds, kernels.SERIAL_STEP_WORK)
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
