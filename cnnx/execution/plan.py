"""The plan of a network: how a batch runs through its layers, one by one, along their graph.

This is the plain path, `Network(fused=False)`. The faster one, on which neighbouring layers run as one, computes the
same and is in fused_plan.py.
"""

import math
import time

import numpy as np

from cnnx._util.arrays import as_kernels_read
from cnnx.execution import graph
from cnnx.execution.buffers import Buffers
from cnnx.losses import value_and_gradient


class LayerRun:
    """A layer that runs by its own forward and backward pass, with the arrays that it writes into.

    Args:
        layer: that runs.
        learns: whether the backward pass reaches it when the network learns.
    """

    def __init__(self, layer, learns):
        self.layer = layer
        self.learns = learns
        self._buffers = Buffers()

    def forward(self, x, training):
        self.layer.buffers = self._buffers
        try:
            y = self.layer.forward(x, training)
        finally:
            self.layer.buffers = None
        return self._checked(y, 'forward', (_samples(x), *self.layer.shape))

    def backward(self, dy):
        self.layer.buffers = self._buffers
        try:
            dx = self.layer.backward(dy)
        finally:
            self.layer.buffers = None
        if not self.layer.merges:
            return self._checked(dx, 'backward', (len(dy), *self.layer.input_shape))
        shapes = self.layer.input_shape
        if not isinstance(dx, (list, tuple)) or len(dx) != len(shapes):
            got = f'{len(dx)} arrays' if isinstance(dx, (list, tuple)) else f'{type(dx).__name__}'
            raise ValueError(
                f'{self.layer.where}: expected {type(self.layer).__name__}.backward to return a list of {len(shapes)} '
                f'arrays, got {got}'
            )
        return [self._checked(d, 'backward', (len(dy), *shape)) for d, shape in zip(dx, shapes, strict=True)]

    def _checked(self, result, method, shape):
        """Return the array that a method of a layer has returned, checked, as kernels read it."""
        layer = self.layer
        if not isinstance(result, np.ndarray) or result.shape != shape or result.dtype != layer.dtype:
            got = f'{result.dtype} {result.shape}' if isinstance(result, np.ndarray) else repr(result)[:60]
            raise ValueError(
                f'{layer.where}: expected {type(layer).__name__}.{method} to return an array, {layer.dtype} {shape}, '
                f'got {got}'
            )
        return as_kernels_read(result, layer.dtype)

    def times(self, x):
        """Return the seconds of the passes over a batch, [(forward, backward)], and y."""
        forward, y = timed(self.forward, x, True)
        backward, _ = timed(self.backward, y.copy()) if self.learns else (0.0, None)
        return [(forward, backward)], y

    def parts(self):
        """Return [(name, multiply-adds of both passes over a sample)]."""
        name = f'{self.layer.index} {type(self.layer).__name__}'
        return [(name, self.layer.multiply_adds * (1 + 2 * self.learns))]


class Plan:
    """The layers of a network, one by one, and its loss.

    Args:
        layers: the network's.
        reads: which of them read which (`cnnx.execution.graph`).
        loss: its loss, or None.
        lock: the network's; hold it from a call until its result is copied: the next batch overwrites it.
    """

    def __init__(self, layers, reads, loss, lock):
        self.lock = lock
        self.loss = loss
        self._layers = layers
        self._reads = reads
        self._penalized = [layer for layer in layers if layer.l2 > 0]
        # The backward pass need not go further back than to the first layer that learns.
        self._first = next((i for i, layer in enumerate(layers) if layer.learns), len(layers))
        self._runs = [LayerRun(layer, i >= self._first) for i, layer in enumerate(layers)]
        self._learning = [run.learns for run in self._runs]
        self._sums = Buffers()  # of gradients
        self._kept = None

    def forward_and_backward(self, data, index):
        """Run a batch forward, through the loss, and backward; the gradients are then in each `parameter.grad`.

        Args:
            data: a `cnnx.training.array_data.ArrayData`.
            index: which of its samples make up the batch, (N,) int64.

        Returns:
            The sum of the losses, each with the penalties of the weights, how many predictions are right (0 where
            the loss has no accuracy), and how many targets there are: as many as samples, or positions that count.
        """
        *totals, dy = self._loss(data, index, training=True)
        self._backward(self._reads, self._runs, dy, self._learning)
        return tuple(totals)

    def evaluate(self, data, index):
        """Return what `forward_and_backward` does, for a batch that nothing is learned from."""
        *totals, _ = self._loss(data, index, training=False)
        return tuple(totals)

    def predict(self, x):
        """Return the output of the last layer for a batch, contiguous and of the network's dtype."""
        return self._forward(x, training=False)

    def forward(self, x, training):
        """Return the output of the last layer for a batch, and keep what `backward` needs."""
        y = self._forward(x, training)
        self._kept = self._reads, self._runs, len(x)
        return y

    def backward(self, dy):
        """Write the gradients of all parameters, those of penalties included, and return the gradient of x.

        Raises:
            RuntimeError: the last call of the plan was not `forward`.
            ValueError: dy is of another number of samples.
        """
        if self._kept is None:
            raise RuntimeError(
                'backward: expected forward just before, with no batch and no change of a setting in between'
            )
        *route, samples = self._kept
        if len(dy) != samples:
            raise ValueError(f'backward: expected the gradient of {samples} samples, as in forward, got {len(dy)}')
        return self._backward(*route, dy)[0]

    def penalty(self):
        """Return what the weights add to the loss of each sample."""
        return math.fsum(layer.penalty() for layer in self._penalized)  # sum rounds by the version of Python

    def times(self, data, index):
        """Return the seconds of both passes of each part of `forward_and_backward`, one by one."""
        self.forward_and_backward(data, index)
        (x, *others), seconds = data.batch(index), []
        reads, runs = self._timed_runs()

        def run(i, x):
            taken, y = runs[i].times(x)
            seconds.extend(taken)
            return y

        *_, y = graph.forward(reads, x, run)
        if self._loss_is_apart():
            seconds.append((timed(value_and_gradient, self.loss, y, *others)[0], 0.0))
        return np.array(seconds)

    def timed_parts(self, samples):
        """Return the names of the parts that `times` measures, and their multiply-adds, both passes over a batch.

        They are counted as if nothing were zero: a weighted layer takes as many for each of its gradients as forward.
        """
        parts = [part for run in self._timed_runs()[1] for part in run.parts()]
        if self._loss_is_apart():
            parts.append((type(self.loss).__name__, 0))
        return [name for name, _ in parts], [count * samples for _, count in parts]

    def _forward(self, x, training):
        self._kept = None
        return graph.forward(self._reads, x, lambda i, x: self._runs[i].forward(x, training))[-1]

    def _loss(self, data, index, training):
        """Return what `forward_and_backward` does, and the gradient by the outputs."""
        x, *others = data.batch(index)
        loss, correct, count, dy = self._loss_of(self._forward(x, training), data, *others)
        return loss + count * self.penalty(), correct, count, dy

    def _loss_of(self, y, data, targets, *weights):
        """Return the sum of the losses of outputs y, how many are right, how many count, and the gradient by y."""
        loss, dy = value_and_gradient(self.loss, y, targets, *weights)
        count = self.loss.count_targets(targets)
        correct = int(self.loss.count_correct(y, targets)) if data.measures_accuracy else 0
        return count * loss, correct, count, dy

    def _backward(self, reads, runs, dy, wanted=None):
        """Write the parameters' gradients; return those by the input and by the outputs of what runs."""
        gradients = graph.backward(reads, dy, lambda i, dy: runs[i].backward(dy), wanted, self._add)
        for layer in self._penalized:
            layer.add_penalty_gradient()
        return gradients

    def _add(self, place, a, b):
        return np.add(a, b, out=self._sums.empty(place, a.shape, a.dtype))

    def _timed_runs(self):
        return self._reads, self._runs

    def _loss_is_apart(self):
        """Whether the loss is computed by itself."""
        return True


def _samples(x):
    """Return how many samples are in a batch, or in each of a list of batches."""
    return len(x[0] if isinstance(x, list) else x)


def timed(function, *arguments):
    """Return how many seconds a call takes, and its result."""
    began = time.perf_counter()
    result = function(*arguments)
    return time.perf_counter() - began, result
