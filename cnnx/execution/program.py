"""Programs: compiled blocks with their arrays, which carry a batch through several layers, or a graph, in one call.

A block computes a few layers in one pass, so that what lies between them is never stored: convolution, ReLU and
max-pooling; or a dense layer and ReLU. A program carries a tile of samples through all of its blocks, forward and back.
"""

import math
import time
from collections import Counter

import numpy as np

from cnnx import kernels
from cnnx import layers as kinds
from cnnx._util.arrays import array_with_slack
from cnnx.execution.fusion import in_place

# What blocks call activations.
ACTIVATION_NAMES = {kinds.ReLU: 'relu', kinds.LeakyReLU: 'leaky_relu', kinds.Sigmoid: 'sigmoid', kinds.Tanh: 'tanh'}


class BoundProgram:
    """Blocks with their arrays, for batches of up to `capacity` samples.

    Args:
        fusions: as `fuse_graph` gives them; the last one's output is the program's.
        reads: which of them read which. Arrays that they read from outside, the *sources*, have the places -1, -2, ...
        capacity: the largest batch.
        training: whether layers do what they do in training.
        first: the first fusion that the backward pass goes through; as many as there are for no backward pass.
        input_gradients: for each source, whether the backward pass computes its gradient.
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
        dxs: the gradients of the sources, (capacity, ...), or None.
    """

    def __init__(
        self,
        fusions,
        reads,
        capacity,
        *,
        training,
        first,
        input_gradients,
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
        self._add_fusions(fusions, reads, first, input_gradients, softmax)
        if loss:
            self._add_loss(loss, weight_shape)
        if softmax:
            self._add_softmax()
        self._kernel_program = self._backend.Program(self.blocks, capacity, self.threads, fixed_weights)

    def _needs_batch(self, fusion, learns):
        if isinstance(fusion.layer, kinds.Dense):
            return fusion.layer.weights.nbytes > self._backend.DenseBlock.large_bytes
        if fusion.algorithm == 'winograd':
            return learns and fusion.layer.weights.nbytes > self._backend.WinogradBlock.large_bytes
        return isinstance(fusion.layer, kinds.BatchNormalization) and learns

    def _add_fusions(self, fusions, reads, first, input_gradients, softmax):
        """Make the blocks of the fusions in order: each one reads what those before it have written as their y.

        `y`, `local` and `gradients` go by place, as `reads` does: the sources stand at the end, from the last place on.
        """
        over = in_place(fusions, reads, first)
        local = self._local(fusions, reads, first, over, input_gradients, softmax)
        y, gradients = [None] * len(local), [None] * len(local)
        readers = Counter(place for places in reads for place in places)
        self.dxs = []
        for place, shape in _source_shapes(fusions, reads):
            y[place] = self._buffer(shape, local[place])
            self.dxs.append(self._buffer(shape, local[place]) if input_gradients[-1 - place] else None)
            self._add('batch', self._backend.Gather(y[place]), False, local[place])
            gradients[place] = self._fork(self.dxs[-1], readers[place], local[place])
        for i, fusion in enumerate(fusions):
            xs, dxs = [y[place] for place in reads[i]], [gradients[place].pop(0) for place in reads[i]]
            x, dx, shape, dy = xs[0], dxs[0], fusion.shape, None
            y[i] = x.reshape(len(x), *shape) if over[i] else self._buffer(shape, local[i])
            if dx is not None and (over[i] or isinstance(fusion.layer, kinds.BatchNormalization)):
                dy = dx.reshape(len(dx), *shape)
            elif i >= first:
                dy = self._buffer(shape, local[i])
            passes_on = over[i] and isinstance(fusion.layer, (kinds.Flatten, kinds.Softmax))
            if not passes_on:
                self._add(fusion.name, self._block(fusion, xs, y[i], dy, dxs), local[reads[i][0]], local[i])
            gradients[i] = self._fork(dy, readers[i], local[i])
        self.y, self.dy = y[i], dy

    def _fork(self, dy, readers, local):
        """Return where each reader of an output writes its gradient: the last one dy, to which the others are added."""
        if dy is None or readers < 2:
            return [dy] * readers
        others = [array_with_slack(dy.shape, self._dtype) for _ in range(readers - 1)]
        self._add('sum of gradients', self._backend.ForkBlock(dy, others[::-1]), local, local)
        return [*others, dy]

    def _local(self, fusions, reads, first, over, input_gradients, softmax):
        """Return which of the fusions' outputs, and of the sources, are arrays that hold a tile for each thread.

        Whole batches are needed of what goes in and out, and of what a dense layer's gradient is made from.
        """
        last = len(fusions) - 1
        whole = [not self._in_tiles or (i == last and not softmax) for i in range(len(fusions))]
        whole += [not self._in_tiles or wanted for wanted in reversed(input_gradients)]
        for _ in whole:  # until it settles, at the latest
            for i, fusion in enumerate(fusions):
                places = [*reads[i], i]
                of_batch = self._of_batch[i] or (isinstance(fusion.layer, kinds.Dense) and i >= first)
                alike = over[i] or fusion.layer.merges
                if of_batch or (alike and any(whole[place] for place in places)):
                    for place in places:
                        whole[place] = True
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

    def _block(self, fusion, xs, y, dy, dxs):
        layer, backend, x, dx = fusion.layer, self._backend, xs[0], dxs[0]
        if type(layer) in ACTIVATION_NAMES:
            slope = layer.negative_slope if isinstance(layer, kinds.LeakyReLU) else 0.0
            return backend.ActivationBlock(ACTIVATION_NAMES[type(layer)], slope, x, y, dy, dx)
        if isinstance(layer, kinds.Dropout):
            block = backend.DropoutBlock(x, y, dy, dx)
            self._dropouts.append((layer, block))
            return block
        if isinstance(layer, kinds.BatchNormalization):
            return self._normalization_block(layer, x, y, dy, dx)
        # A Flatten after a layer is in its fusion: y is flat then. Blocks know it as the layer gives it.
        shape = x.shape[1:] if isinstance(layer, (kinds.Flatten, kinds.Softmax)) else (fusion.pooling or layer).shape
        if isinstance(layer, kinds.GlobalAveragePooling):
            shape = (1, 1, *shape)
        y, dy = (None if array is None else array.reshape(len(array), *shape) for array in (y, dy))
        if isinstance(layer, kinds.Add):
            return backend.AddBlock(xs, y, dy, dxs)
        if isinstance(layer, kinds.Concatenate):
            return backend.ConcatenateBlock(xs, y, layer.axis_of_batch, dy, dxs)
        if isinstance(layer, (kinds.Flatten, kinds.Softmax)):  # a copy
            return backend.ConcatenateBlock(xs, y, 1, dy, dxs)
        if isinstance(layer, kinds.UpSampling):
            return backend.InterpolationBlock(layer.rows, layer.columns, x, y, dy, dx)
        if isinstance(layer, (kinds.Convolutional, kinds.TransposedConvolutional, kinds.Dense)):
            return _weighted_block(backend, fusion, x, y, dy, dx)
        return backend.PoolingBlock(not isinstance(layer, kinds.MaxPooling), x, y, layer.window, dy, dx)

    def _normalization_block(self, layer, x, y, dy, dx):
        """Return a block that normalizes a batch by its own mean and variance, or, to predict, by running ones."""
        gamma, beta, mean, variance = layer.parameters
        if dy is None:
            values = (parameter.value for parameter in (mean, variance, gamma, beta))
            return self._backend.NormalizationBlock(x, y, *values, layer.epsilon)
        mean, variance = np.zeros_like(mean.value), np.zeros_like(variance.value)
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
            sources: the arrays, then labels and weights or not: to read the samples from, contiguous, of the program's
                dtypes; none for a backward pass alone.
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
        fusions, reads, first, settings: what `BoundProgram` takes.
    """

    def __init__(self, fusions, reads, first, **settings):
        self.fusions = fusions
        self.reads = reads
        self.learns = first < len(fusions)
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
                self.fusions, self.reads, max(samples, 1), weight_shape=weight_shape, **self._settings
            )
        self._latest = program
        return program

    def forward(self, x, training, order=None):
        """Return the output of the last fusion for a batch.

        Args:
            x: (N, ...), or, where there is an order, what the batch is picked from; a list of several sources.
            training: as the sweep was made for.
            order: as for `BoundProgram.run`.
        """
        sources = _as_list(x)
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
        sources = *_as_list(x), labels, *weights
        samples = len(sources[0] if order is None else order)
        program, loss = self.program(samples, *(array.shape[1:] for array in weights)), self._settings['loss']
        count = samples * math.prod(labels.shape[1:])
        if loss.ignore_label is not None:
            count = loss.count_targets(labels if order is None else labels[order])
        program.loss.count = count
        program.run(samples, backward=self.learns, sources=sources, order=order)
        return *program.loss.totals(samples), count

    def backward(self, dy):
        """Write the parameters' gradients for the latest batch; return that of its x or None, or a list of several.

        A sweep with the loss has done so already, and takes no dy.
        """
        program = self._latest
        if program.loss is None:
            program.dy[: len(dy)] = dy
            program.run(len(dy), forward=False, backward=True)
        dxs = [None if dx is None else dx[: program.samples] for dx in program.dxs]
        return dxs if len(dxs) > 1 else dxs[0]

    def times(self, x):
        """Return the seconds of the blocks' passes over the latest batch, [(forward, backward), ...], and y."""
        samples = len(_as_list(x)[0])
        return self._latest.times(samples), self._latest.y[:samples]

    def parts(self):
        """Return [(name, multiply-adds of both passes over a sample)] of the blocks."""
        first, wanted, counts = self._settings['first'], self._settings['input_gradients'], {}
        for i, fusion in enumerate(self.fusions):
            place = self.reads[i][0]
            input_gradient = place >= first or (place < 0 and wanted[-1 - place])
            counts[fusion.name] = fusion.layer.multiply_adds * (1 + (i >= first) + input_gradient)
        return [(name, counts.get(name, 0)) for name in self._latest.names]


def _as_list(x):
    return x if isinstance(x, list) else [x]


def _source_shapes(fusions, reads):
    """Return the places of the sources, -1, -2, ..., and the shape of a sample of each."""
    shapes = {}
    for fusion, places in zip(fusions, reads, strict=True):
        of_x = fusion.layer.input_shape
        shapes |= dict(zip(places, of_x if fusion.layer.merges else [of_x], strict=True))
    return [(place, shapes[place]) for place in range(-1, min(shapes) - 1, -1)]


def _weighted_block(backend, fusion, x, y, dy, dx):
    layer = fusion.layer
    weights, (bias, dbias) = layer.parameters[0], layer.bias_arrays()
    arrays = x, weights.value, bias, y
    gradients = (dy, dx, weights.grad, dbias) if dy is not None else ()
    if isinstance(layer, kinds.Dense):
        return backend.DenseBlock(*arrays, fusion.relu, *gradients)
    if isinstance(layer, kinds.TransposedConvolutional):
        return backend.TransposedConvolutionBlock(*arrays, layer.window, *gradients)
    if layer.is_depthwise:
        return backend.DepthwiseBlock(*arrays, layer.window, *gradients)
    if fusion.algorithm == 'winograd':
        return backend.WinogradBlock(*arrays, layer.window, fusion.relu, *gradients)
    pool = fusion.pooling and fusion.pooling.window
    return backend.ConvolutionBlock(*arrays, layer.window, layer.shape[:2], pool, fusion.relu, *gradients)
