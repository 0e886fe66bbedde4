"""The plan of a network: how a batch runs through its layers, one by one.

This is the plain path, `Network(fused=False)`. The faster one, on which neighbouring layers run as one, computes the
same and is in fused_plan.py.
"""

import math
import time

import numpy as np

from cnnx._util.arrays import as_kernels_read
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
        return self._checked(y, 'forward', (len(x), *self.layer.shape))

    def backward(self, dy):
        self.layer.buffers = self._buffers
        try:
            dx = self.layer.backward(dy)
        finally:
            self.layer.buffers = None
        return self._checked(dx, 'backward', (len(dy), *self.layer.input_shape))

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
    """The layers of a network one after the other, and its loss.

    Args:
        layers: the network's.
        loss: its loss, or None.
        lock: the network's; hold it from a call until its result is copied: the next batch overwrites it.
    """

    def __init__(self, layers, loss, lock):
        self.lock = lock
        self.loss = loss
        self._layers = layers
        self._penalized = [layer for layer in layers if layer.l2 > 0]
        # The backward pass need not go further back than to the first layer that learns.
        self._first = next((i for i, layer in enumerate(layers) if layer.learns), len(layers))
        self._steps = [LayerRun(layer, i >= self._first) for i, layer in enumerate(layers)]
        self._kept = None

    def forward_and_backward(self, data, index):
        """Run a batch forward, through the loss, and backward; the gradients are then in each `parameter.grad`.

        Args:
            data: a `cnnx.training.array_data.ArrayData`.
            index: which of its samples make up the batch, (N,) int64.

        Returns:
            The sum of the losses, each with the penalties of the weights, and how many samples the network
            classifies right (0 where the loss has no accuracy).
        """
        loss, correct, dy = self._loss(data, index, training=True)
        self._backward(dy, self._steps[self._first :])
        return loss, correct

    def evaluate(self, data, index):
        """Return what `forward_and_backward` does, for a batch that nothing is learned from."""
        loss, correct, _ = self._loss(data, index, training=False)
        return loss, correct

    def predict(self, x):
        """Return the output of the last layer for a batch, contiguous and of the network's dtype."""
        return self._forward(x, training=False)

    def forward(self, x, training):
        """Return the output of the last layer for a batch, and keep what `backward` needs."""
        y = self._forward(x, training)
        self._kept = self._steps, len(x)
        return y

    def backward(self, dy):
        """Write the gradients of all parameters, those of penalties included, and return the gradient of x.

        Raises:
            RuntimeError: `forward` was not the last that the plan ran.
            ValueError: dy is of another number of samples.
        """
        if self._kept is None:
            raise RuntimeError(
                'backward: expected forward just before, with no batch and no change of a setting in between'
            )
        steps, samples = self._kept
        if len(dy) != samples:
            raise ValueError(f'backward: expected the gradient of {samples} samples, as in forward, got {len(dy)}')
        return self._backward(dy, steps)

    def penalty(self):
        """Return what the weights add to the loss of each sample."""
        return math.fsum(layer.penalty() for layer in self._penalized)  # sum rounds by the version of Python

    def times(self, data, index):
        """Return the seconds of both passes of each part of `forward_and_backward`, one by one."""
        self.forward_and_backward(data, index)
        (x, *others), seconds = data.batch(index), []
        for step in self._timed_steps():
            taken, x = step.times(x)
            seconds.extend(taken)
        if self._loss_is_apart():
            seconds.append((timed(value_and_gradient, self.loss, x, *others)[0], 0.0))
        return np.array(seconds)

    def timed_parts(self, samples):
        """Return the names of the parts that `times` measures, and their multiply-adds, both passes over a batch.

        They are counted as if nothing were zero: a weighted layer takes as many for each of its gradients as forward.
        """
        parts = [part for step in self._timed_steps() for part in step.parts()]
        if self._loss_is_apart():
            parts.append((type(self.loss).__name__, 0))
        return [name for name, _ in parts], [count * samples for _, count in parts]

    def _forward(self, x, training):
        self._kept = None
        for step in self._steps:
            x = step.forward(x, training)
        return x

    def _loss(self, data, index, training):
        """Return the sum of the losses of a batch, how many samples are right, and the gradient by the outputs."""
        x, targets, *weights = data.batch(index)
        y = self._forward(x, training)
        loss, dy = value_and_gradient(self.loss, y, targets, *weights)
        correct = int(self.loss.count_correct(y, targets)) if data.measures_accuracy else 0
        return len(index) * (loss + self.penalty()), correct, dy

    def _backward(self, dy, steps):
        """Write the gradients of the steps' parameters; return the gradient of what the first of them reads."""
        for step in reversed(steps):
            dy = step.backward(dy)
        for layer in self._penalized:
            layer.add_penalty_gradient()
        return dy

    def _timed_steps(self):
        return self._steps

    def _loss_is_apart(self):
        """Whether the loss is computed by itself."""
        return True


def timed(function, *arguments):
    """Return how many seconds a call takes, and its result."""
    began = time.perf_counter()
    result = function(*arguments)
    return time.perf_counter() - began, result
