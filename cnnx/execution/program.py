"""The programs of compiled blocks that run groups of layers.

A block computes a few layers in one sweep, so that what lies between them is never stored:
convolution, ReLU and max-pooling; or a dense layer and ReLU. Other layers are blocks of their own, but for those
that need the whole batch. A program carries a tile of samples through all blocks, forward and back, in one call.
"""

import time

import numpy as np

from cnnx import kernels
from cnnx._util.arrays import array_with_slack
from cnnx.execution.fusion import ACTIVATIONS, WEIGHTED, in_place
from cnnx.layers import BatchNormalization, Dense, Dropout, Flatten, LeakyReLU, MaxPooling


class Program:
    """Blocks with their arrays, for batches of up to `capacity` samples.

    Args:
        groups: as `split` gives them, of layers one behind the other.
        capacity: the largest batch.
        training: whether there will be backward passes.
        frozen: how many of the first groups nothing is learned in: there is no backward pass through them.
        input_gradient: whether the backward pass goes on before the first group.
        loss: a `CategoricalCrossEntropy`, computed from the last block's output in the same sweep, or None.
        weighted: whether samples weigh differently in the loss.
        softmax: computes the softmax of the last block's output, in the same sweep.

    Attributes:
        threads: how many it can use.
        blocks, names: what runs, and which layers it stands for.
        y: (capacity, ...), the network's output.
        dy: (capacity, ...), the gradient of y, to write between a forward and a backward pass.
        dx: (capacity, ...), the gradient of what the first block reads, or None.
    """

    def __init__(
        self,
        groups,
        capacity,
        *,
        training=False,
        frozen=0,
        input_gradient=False,
        loss=None,
        weighted=False,
        softmax=False,
    ):
        self.capacity = capacity
        self.training = training
        self.threads = kernels.num_threads()
        self._dtype = groups[0].layer.dtype
        self._backend = kernels.current()
        self._work = sum(group.work for group in groups) * (3 if training else 1)
        # With the loss in the sweep, or without a backward pass, a tile is through when the next one comes.
        self._in_tiles = self._backend.Program.tile is not None and (loss or not training)
        self.blocks, self.names, self._gathers, self._dropouts = [], [], [], []
        self._add_groups(groups, frozen if training else len(groups), input_gradient, softmax)
        if loss:
            self._add_loss(loss, weighted)
        if softmax:
            self._add_softmax()
        self._compiled = self._backend.Program(self.blocks, capacity, self.threads)

    def _add_groups(self, groups, frozen, input_gradient, softmax):
        over = in_place(groups, frozen)
        local = self._local(groups, frozen, over, input_gradient, softmax)
        shape = groups[0].layer.input_shape
        y, dy = self._buffer(shape, local[0]), self._buffer(shape) if input_gradient else None
        self.dx = dy
        self._add_gather('batch', y, local[0])
        for i, group in enumerate(groups):
            x, dx, shape = y, dy, group.output_shape
            if over[i]:
                # The first group that learns is a weighted one, or one that passes a gradient on.
                y, dy = x.reshape(len(x), *shape), None if dx is None else dx.reshape(len(dx), *shape)
            else:
                y = self._buffer(shape, local[i + 1])
                dy = self._buffer(shape, local[i + 1]) if i >= frozen else None
            block = _block(self._backend, group, x, y, dy, dx)
            if block is not None:
                self._add(group.name, block, local[i], local[i + 1])
            if isinstance(group.layer, Dropout):
                self._dropouts.append((group.layer, block))
        self.y, self.dy = y, dy

    def _local(self, groups, frozen, over, input_gradient, softmax):
        """Return which of the arrays before, between and behind the groups hold a tile for each thread.

        Whole batches are needed of what goes in and out, and of what a dense layer's gradient is made from.
        """
        whole = [not self._in_tiles] * (len(groups) + 1)
        whole[0] = whole[0] or input_gradient
        whole[-1] = whole[-1] or not softmax
        for i, group in enumerate(groups):
            if isinstance(group.layer, Dense) and i >= frozen:
                whole[i] = whole[i + 1] = True
        same = [i for i, each in enumerate(over) if each]
        for i in same:
            whole[i + 1] = whole[i + 1] or whole[i]
        for i in reversed(same):
            whole[i] = whole[i + 1]
        return [not each for each in whole]

    def _add_loss(self, loss, weighted):
        labels, weights = np.zeros(self.capacity, np.int32), None
        dlogits = np.empty_like(self.y) if self.dy is None else self.dy
        self._add_gather('labels', labels)
        if weighted:
            weights = np.zeros(self.capacity, self._dtype)
            self._add_gather('weights', weights)
        self._loss = self._backend.CrossEntropyBlock(self.y, labels, dlogits, loss.label_smoothing, weights)
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

    def _buffer(self, shape, local=False):
        samples = self.threads * self._backend.Program.tile if local else self.capacity
        return array_with_slack((samples, *shape), self._dtype)

    def run(self, samples, *, forward=True, backward=False, sources=(), order=None):
        """Run a batch.

        Args:
            samples: how many.
            forward, backward: which passes.
            sources: (x,), (x, labels) or (x, labels, weights): arrays to read the samples from, contiguous, of
                the program's dtypes; none for what a forward pass was run over before.
            order: at which places they stand there, (samples,) int64; None for the first ones.
        """
        for gather, source in zip(self._gathers, sources, strict=False):
            gather.read_from(source)
        for layer, block in self._dropouts if forward else ():
            block.draw(layer.draw_key(), layer.rate)
        threads = kernels.threads_for(samples * self._work, kernels.SERIAL_STEP_WORK)
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


class Sweep:
    """Groups that run as one program, which is made anew for a larger batch, more threads or another backend.

    Args:
        groups: as `split` gives them, of layers one behind the other.
        settings: what `Program` takes beside.
    """

    def __init__(self, groups, **settings):
        self.groups = groups
        self.learns = settings['training']
        self._settings = settings
        self._programs = {}
        self._latest = None

    def program(self, samples, weighted=False):
        """Return the program for a batch."""
        key = kernels.current().name, weighted
        program = self._programs.get(key)
        if program is None or program.capacity < samples or program.threads < kernels.num_threads():
            program = self._programs[key] = Program(self.groups, samples, weighted=weighted, **self._settings)
        self._latest = program
        return program

    def forward(self, x, training, order=None):
        """Return what the last group makes of a batch.

        Args:
            x: (N, ...), or, where there is an order, what the batch is picked from.
            training: as the sweep was made for.
            order: as for `Program.run`.
        """
        samples = len(x if order is None else order)
        program = self.program(samples)
        program.run(samples, sources=(x,), order=order)
        return program.y[:samples]

    def backward(self, dy):
        """Write the parameters' gradients for the latest batch, and return that of its x, or None."""
        program = self._latest
        program.dy[: len(dy)] = dy
        program.run(len(dy), forward=False, backward=True)
        return self.input_gradient(len(dy))

    def input_gradient(self, samples):
        """Return the gradient of the latest batch's x, or None."""
        return None if self._latest.dx is None else self._latest.dx[:samples]

    def times(self, x):
        """Return the seconds of the blocks' passes over the latest batch, [(forward, backward), ...], and y."""
        return self._latest.times(len(x)), self._latest.y[: len(x)]

    def parts(self):
        """Return [(name, multiply-adds of both passes over a sample)] of the blocks."""
        first = self._settings['frozen'] if self.learns else len(self.groups)
        counts = {}
        for i, group in enumerate(self.groups):
            input_gradient = i > first or (i == first and self._settings['input_gradient'])
            counts[group.name] = group.multiply_adds * (1 + (i >= first) + input_gradient)
        return [(name, counts.get(name, 0)) for name in self._latest.names]


def _block(backend, group, x, y, dy, dx):
    """Return the block of a group, or None where nothing is to be done."""
    layer = group.layer
    if isinstance(layer, Flatten):
        return None
    if isinstance(layer, ACTIVATIONS):
        slope = layer.negative_slope if isinstance(layer, LeakyReLU) else 0.0
        return backend.ActivationBlock(layer.kernel, slope, x, y, dy, dx)
    if isinstance(layer, Dropout):
        return backend.DropoutBlock(x, y, dy, dx)
    if isinstance(layer, BatchNormalization):
        gamma, beta, mean, variance = (parameter.value for parameter in layer.parameters)
        return backend.NormalizationBlock(x, y, mean, variance, gamma, beta, layer.epsilon)
    if isinstance(layer, WEIGHTED):
        return _weighted_block(backend, group, x, y, dy, dx)
    y, dy = (None if array is None else _as_images(array, layer) for array in (y, dy))
    return backend.PoolingBlock(not isinstance(layer, MaxPooling), x, y, layer._window, dy, dx)


def _as_images(array, pooling):
    """Return what comes out of a pooling as images, (N, P, Q, C)."""
    positions = pooling.output_shape[:-1] or (1, 1)
    return array.reshape(len(array), *positions, pooling.output_shape[-1])


def _weighted_block(backend, group, x, y, dy, dx):
    layer = group.layer
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
