"""Programs: compiled blocks with their arrays, which carry a batch through several layers in one call.

A block computes a few layers in one pass, so that what lies between them is never stored: convolution, ReLU and
max-pooling; or a dense layer and ReLU. A program carries a tile of samples through all of its blocks, forward and back.
"""

import math
import time

import numpy as np

from cnnx import kernels
from cnnx._util.arrays import array_with_slack
from cnnx.execution.fusion import in_place
from cnnx.layers import (
    BatchNormalization,
    Convolutional,
    Dense,
    Dropout,
    Flatten,
    LeakyReLU,
    MaxPooling,
    ReLU,
    Sigmoid,
    Softmax,
    Tanh,
)

# What blocks call activations.
ACTIVATION_NAMES = {ReLU: 'relu', LeakyReLU: 'leaky_relu', Sigmoid: 'sigmoid', Tanh: 'tanh'}


class BoundProgram:
    """Blocks with their arrays, for batches of up to `capacity` samples.

    Args:
        fusions: as `fuse` gives them, of neighbouring layers.
        capacity: the largest batch.
        training: whether layers do what they do in training.
        first: the first fusion that the backward pass goes through; as many as there are for no backward pass.
        input_gradient: whether the backward pass computes the gradient of the first fusion's input.
        addends: how many arrays are added up to the first fusion's input, those of an Add layer; 1 for no addition.
        loss: a `CategoricalCrossEntropy`, computed from the last block's output in the same sweep, or None.
        weight_shape: of the weights of a sample, () for a number, where the loss has weights; else None.
        softmax: whether to compute the softmax of the last block's output.
        fixed_weights: whether the weights never change.

    Attributes:
        threads: how many it can use.
        loss: the block that computes it, or None.
        samples: of the latest run.
        blocks, names: what runs, and which layers it stands for.
        y: (capacity, ...), the network's output.
        dy: (capacity, ...), the gradient of y, to write between a forward and a backward pass.
        dx: (capacity, ...), the gradient of what the first block reads, or None.
    """

    def __init__(
        self,
        fusions,
        capacity,
        *,
        training,
        first,
        input_gradient=False,
        addends=1,
        loss=None,
        weight_shape=None,
        softmax=False,
        fixed_weights=False,
    ):
        self.capacity = capacity
        self.training = training
        self.backward = first < len(fusions)
        self.threads = kernels.num_threads()
        self.loss = None
        self._dtype = fusions[0].layer.dtype
        self._backend = kernels.current()
        self._work = sum(fusion.work for fusion in fusions) * (3 if self.backward else 1)
        # With the loss in the program, or without a backward pass, a tile is finished before the next one begins:
        # arrays between blocks need to hold one tile for each thread, not the batch.
        # Where a layer needs the whole batch, all samples are in it before they go on, and so what comes before it is
        # kept of all of them for the backward pass.
        self._of_batch = [self._needs_batch(fusion, i >= first) for i, fusion in enumerate(fusions)]
        in_tiles = (loss and not any(self._of_batch)) or not self.backward
        self._in_tiles = self._backend.Program.tile is not None and in_tiles
        self.blocks, self.names, self._gathers, self._dropouts, self._normalizations = [], [], [], [], []
        self._add_fusions(fusions, first, input_gradient, addends, softmax)
        if loss:
            self._add_loss(loss, weight_shape)
        if softmax:
            self._add_softmax()
        self._kernel_program = self._backend.Program(self.blocks, capacity, self.threads, fixed_weights)

    def _needs_batch(self, fusion, learns):
        if isinstance(fusion.layer, Dense):
            return fusion.layer.weights.nbytes > self._backend.DenseBlock.large_bytes
        return isinstance(fusion.layer, BatchNormalization) and learns

    def _add_fusions(self, fusions, first, input_gradient, addends, softmax):
        """Make the blocks of the fusions in order: each one reads as its x what the one before wrote as its y."""
        over = in_place(fusions, first)
        local = self._local(fusions, first, over, input_gradient, softmax)
        shape = fusions[0].layer.input_shape
        y, dy = self._buffer(shape, local[0]), self._buffer(shape) if input_gradient else None
        self.dx = dy
        self._add('batch', self._backend.Gather(y), False, local[0])
        for _ in range(addends - 1):
            self._add('Add', self._backend.Gather(y, True), False, local[0])
        for i, fusion in enumerate(fusions):
            x, dx, shape = y, dy, fusion.shape
            if over[i]:
                # In place. Without a dx no dy is needed: the first fusion that learns has weights, and is not in place.
                y, dy = x.reshape(len(x), *shape), None if dx is None else dx.reshape(len(dx), *shape)
            else:
                y = self._buffer(shape, local[i + 1])
                dy = None
                if i >= first:
                    writes_over = isinstance(fusion.layer, BatchNormalization) and dx is not None
                    dy = dx.reshape(len(dx), *shape) if writes_over else self._buffer(shape, local[i + 1])
            block = self._block(fusion, x, y, dy, dx)
            if block is not None:
                self._add(fusion.name, block, local[i], local[i + 1])
        self.y, self.dy = y, dy

    def _local(self, fusions, first, over, input_gradient, softmax):
        """Return which of the arrays before, between and after the fusions hold a tile for each thread.

        Whole batches are needed of what goes in and out, and of what a dense layer's gradient is made from.
        """
        whole = [not self._in_tiles] * (len(fusions) + 1)
        whole[0] = whole[0] or input_gradient
        whole[-1] = whole[-1] or not softmax
        for i, fusion in enumerate(fusions):
            if self._of_batch[i] or (isinstance(fusion.layer, Dense) and i >= first):
                whole[i] = whole[i + 1] = True
        same = [i for i, each in enumerate(over) if each]
        for i in same:
            whole[i + 1] = whole[i + 1] or whole[i]
        for i in reversed(same):
            whole[i] = whole[i + 1]
        return [not each for each in whole]

    def _add_loss(self, loss, weight_shape):
        labels, weights = np.zeros((self.capacity, *self.y.shape[1:-1]), np.int32), None
        dlogits = np.empty_like(self.y) if self.dy is None else self.dy
        self._add('labels', self._backend.Gather(labels))
        if weight_shape is not None:
            weights = np.zeros((self.capacity, *weight_shape), self._dtype)
            self._add('weights', self._backend.Gather(weights))
        self.loss = self._backend.CrossEntropyBlock(self.y, labels, dlogits, loss.label_smoothing, weights)
        self._add('CategoricalCrossEntropy', self.loss)

    def _add_softmax(self):
        logits, self.y = self.y, self._buffer(self.y.shape[1:])
        self._add('Softmax', self._backend.SoftmaxBlock(logits, self.y), self._in_tiles)

    def _block(self, fusion, x, y, dy, dx):
        """Return the block of a fusion, or None where nothing is to be done."""
        layer, backend = fusion.layer, self._backend
        if isinstance(layer, (Flatten, Softmax)):
            return None
        if type(layer) in ACTIVATION_NAMES:
            slope = layer.negative_slope if isinstance(layer, LeakyReLU) else 0.0
            return backend.ActivationBlock(ACTIVATION_NAMES[type(layer)], slope, x, y, dy, dx)
        if isinstance(layer, Dropout):
            block = backend.DropoutBlock(x, y, dy, dx)
            self._dropouts.append((layer, block))
            return block
        if isinstance(layer, BatchNormalization):
            return self._normalization_block(layer, x, y, dy, dx)
        if isinstance(layer, (Convolutional, Dense)):
            return _weighted_block(backend, fusion, x, y, dy, dx)
        y, dy = (None if array is None else _as_images(array, layer) for array in (y, dy))
        return backend.PoolingBlock(not isinstance(layer, MaxPooling), x, y, layer.window, dy, dx)

    def _normalization_block(self, layer, x, y, dy, dx):
        """Return a block that normalizes a batch by its own mean and variance, or, to predict, by running ones."""
        gamma, beta, mean, variance = layer.parameters
        if dy is None:
            values = (parameter.value for parameter in (mean, variance, gamma, beta))
            return self._backend.NormalizationBlock(x, y, *values, layer.epsilon)
        mean, variance = np.empty_like(mean.value), np.empty_like(variance.value)
        self._normalizations.append((layer, mean, variance))
        values, gradients = (gamma.value, beta.value), (gamma.grad, beta.grad)
        return self._backend.BatchNormalizationBlock(x, y, *values, mean, variance, layer.epsilon, dy, dx, *gradients)

    def _add(self, name, block, x_local=False, y_local=False):
        if isinstance(block, self._backend.Gather):
            self._gathers.append(block)
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
            sources: (x,), (x, labels) or (x, labels, weights), where x is `addends` arrays: to read the samples from,
                contiguous, of the program's dtypes; none for a backward pass alone.
            order: which of them make up the batch, (samples,) int64; None for the first ones.
        """
        self.samples = samples
        for gather, source in zip(self._gathers, sources, strict=False):
            gather.read_from(source)
        for layer, block in self._dropouts if forward else ():
            block.draw(layer.draw_key(), layer.rate)
        threads = kernels.threads_for(samples * self._work, kernels.SERIAL_STEP_WORK)
        self._kernel_program.run(samples, self.training, forward, backward, threads, order)
        for layer, mean, variance in self._normalizations if forward else ():
            layer.follow(mean, variance, samples * math.prod(layer.input_shape[:-1]))
        if sources:
            for gather in self._gathers:
                gather.read_from(None)

    def predict(self, x):
        """Return the output for a batch: what `run` does with one source, in less time, which counts for one sample.

        Args:
            x: (N, ...), contiguous, of the program's dtype.
        """
        samples, (gather,) = len(x), self._gathers
        gather.read_from(x)
        threads = kernels.threads_for(samples * self._work, kernels.SERIAL_STEP_WORK)
        self._kernel_program.run(samples, False, True, False, threads)
        gather.read_from(None)
        return self.y[:samples]

    def times(self, samples):
        """Run a batch block by block on one thread; return the seconds of each block's forward and backward pass.

        What the first block reads and the last one starts from is what the latest `run` left.
        """
        passes = ((True, False), (False, True)) if self.backward else ((True, False),)
        seconds = np.zeros((len(self.blocks), 2))
        for column, (forward, backward) in enumerate(passes):
            for i in range(len(self.blocks))[:: 1 if forward else -1]:
                began = time.perf_counter()
                self._kernel_program.run(samples, self.training, forward, backward, 1, None, i, i + 1)
                seconds[i, column] = time.perf_counter() - began
        return seconds


class Sweep:
    """Fused layers that run as one program, which is rebuilt for a larger batch, more threads or another backend.

    Args:
        fusions: as `fuse` gives them, of neighbouring layers.
        first, settings: what `BoundProgram` takes.
    """

    def __init__(self, fusions, first, **settings):
        self.fusions = fusions
        self.learns = first < len(fusions)
        self.addends = settings.get('addends', 1)
        self._settings = {'first': first, **settings}
        self._programs = {}
        self._latest = None

    def program(self, samples, weight_shape=None):
        """Return the program for a batch."""
        loss = self._settings.get('loss')
        key = kernels.current().name, weight_shape, loss and loss.label_smoothing
        program = self._programs.get(key)
        if program is None or program.capacity < samples or program.threads < kernels.num_threads():
            program = self._programs[key] = BoundProgram(
                self.fusions, max(samples, 1), weight_shape=weight_shape, **self._settings
            )
        self._latest = program
        return program

    def forward(self, x, training, order=None):
        """Return the output of the last fusion for a batch.

        Args:
            x: (N, ...), or, where there is an order, what the batch is picked from; a list, where several are added.
            training: as the sweep was made for.
            order: as for `BoundProgram.run`.
        """
        sources = self._addends(x)
        samples = len(sources[0] if order is None else order)
        program = self.program(samples)
        program.run(samples, sources=sources, order=order)
        return program.y[:samples]

    def predict(self, x):
        """Return what `forward` does outside of training, for a batch by itself."""
        return self.program(len(x)).predict(x)

    def run_with_loss(self, arrays, order=None):
        """Run a batch up to the loss, and back where the sweep learns.

        Returns:
            The sum of the losses, how many predictions are right, and how many targets count.

        Args:
            arrays: x, labels, and weights or not.
            order: as for `BoundProgram.run`.
        """
        x, labels, *weights = arrays
        sources = *self._addends(x), labels, *weights
        samples = len(sources[0] if order is None else order)
        program, loss = self.program(samples, *(array.shape[1:] for array in weights)), self._settings['loss']
        count = samples * math.prod(labels.shape[1:])
        if loss.ignore_label is not None:
            count = loss.count_targets(labels if order is None else labels[order])
        program.loss.count = count
        program.run(samples, backward=self.learns, sources=sources, order=order)
        return *program.loss.totals(samples), count

    def backward(self, dy):
        """Write the parameters' gradients for the latest batch, and return that of its x, or None.

        A sweep with the loss has done so already, and takes no dy. Of several arrays that are added up, each has the
        same gradient.
        """
        program = self._latest
        if program.loss is None:
            program.dy[: len(dy)] = dy
            program.run(len(dy), forward=False, backward=True)
        dx = None if program.dx is None else program.dx[: program.samples]
        return dx if self.addends == 1 else [dx] * self.addends

    def _addends(self, x):
        return (x,) if self.addends == 1 else tuple(x)

    def times(self, x):
        """Return the seconds of the blocks' passes over the latest batch, [(forward, backward), ...], and y."""
        samples = len(self._addends(x)[0])
        return self._latest.times(samples), self._latest.y[:samples]

    def parts(self):
        """Return [(name, multiply-adds of both passes over a sample)] of the blocks."""
        first, counts = self._settings['first'], {}
        for i, fusion in enumerate(self.fusions):
            input_gradient = i > first or (i == first and self._settings['input_gradient'])
            counts[fusion.name] = fusion.layer.multiply_adds * (1 + (i >= first) + input_gradient)
        return [(name, counts.get(name, 0)) for name in self._latest.names]


def _as_images(array, pooling):
    """Return what comes out of a pooling as images, (N, P, Q, C)."""
    positions = pooling.shape[:-1] or (1, 1)
    return array.reshape(len(array), *positions, pooling.shape[-1])


def _weighted_block(backend, fusion, x, y, dy, dx):
    layer = fusion.layer
    weights, (bias, dbias) = layer.parameters[0], layer.bias_arrays()
    gradients = (dy, dx, weights.grad, dbias) if dy is not None else ()
    if type(layer) is Dense:
        return backend.DenseBlock(
            x.reshape(len(x), -1),
            weights.value,
            bias,
            y,
            fusion.relu,
            *(gradients and (dy, None if dx is None else dx.reshape(len(x), -1), *gradients[2:])),
        )
    shape = fusion.pooling.shape if fusion.pooling else layer.shape
    y = y.reshape(len(y), *shape)
    if dy is not None:
        gradients = (dy.reshape(len(dy), *shape), *gradients[1:])
    if fusion.algorithm == 'winograd':
        return backend.WinogradBlock(x, weights.value, bias, y, layer.window, fusion.relu, *gradients)
    return backend.ConvolutionBlock(
        x,
        weights.value,
        bias,
        y,
        layer.window,
        layer.shape[:2],
        fusion.pooling and fusion.pooling.window,
        fusion.relu,
        *gradients,
    )
