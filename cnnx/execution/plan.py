"""The plan of a network: the steps that a batch takes, for learning, evaluating and predicting.

Each layer is a step of its own (`Network(fused=False)`), or neighbouring layers that blocks can run are one step
(fusion.py, program.py). A step after the first batch allocates nothing of the batch's size.
"""

import itertools
import math
import time
from typing import NamedTuple

import numpy as np

from cnnx._util.arrays import as_kernels_read
from cnnx.execution.buffers import Buffers
from cnnx.execution.fusion import Fusion, fuse
from cnnx.execution.program import Sweep
from cnnx.layers import Softmax
from cnnx.losses import CategoricalCrossEntropy, value_and_gradient


class Step:
    """A layer that runs alone, by its own forward and backward pass, with the arrays that it writes into.

    Args:
        layer: that runs.
        learns: whether the backward pass comes to it.
    """

    def __init__(self, layer, learns):
        self.layer = layer
        self.learns = learns
        self._buffers = Buffers()

    @property
    def name(self):
        return f'{self.layer.index} {type(self.layer).__name__}'

    def forward(self, x, training):
        return self._run('forward', (len(x), *self.layer.shape), x, training)

    def backward(self, dy):
        return self._run('backward', (len(dy), *self.layer.input_shape), dy)

    def _run(self, method, shape, *arguments):
        """Call a method of the layer, which may be of the user's own, and return its result as kernels read it."""
        layer = self.layer
        layer.buffers = self._buffers
        try:
            result = getattr(layer, method)(*arguments)
        finally:
            layer.buffers = None
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
        return [(self.name, self.layer.multiply_adds * (1 + 2 * self.learns))]


class Route(NamedTuple):
    """How a batch goes through a network for one purpose.

    Attributes:
        steps: in order, `Step` and `Sweep` objects, but for the head.
        head: a `Sweep` after them that computes the loss too, and what it learns from it; or None.
    """

    steps: list
    head: Sweep | None

    def forward(self, x, training, order=None):
        """Return what the steps make of a batch: x, or, where there is an order, the samples of x that it names."""
        for step in self.steps:
            x, order = step.forward(x, training) if order is None else step.forward(x, training, order), None
        return x

    def backward(self, gradient):
        """Write the parameters' gradients; return the gradient of what the first step with a backward pass read."""
        for step in reversed(self.steps):
            if not step.learns:
                break
            gradient = step.backward(gradient)
        return gradient


class Plan:
    """The steps of a network, and its loss.

    Args:
        layers: the network's.
        loss: its loss, or None.
        fused: whether neighbouring layers run as one, where blocks can.
        lock: the network's; hold it from a call until its result is copied, since results are lent.
    """

    def __init__(self, layers, loss, fused, lock):
        self.lock = lock
        self.loss = loss
        self._layers = layers
        self._fused = fused
        self._penalized = [layer for layer in layers if layer.l2 > 0]
        self._routes = {}
        self._kept = None

    def learn(self, samples, index):
        """Write the gradients of all parameters that learn, for a batch.

        Args:
            samples: a `cnnx.training.array_data.ArrayData`.
            index: which of them make up the batch, (N,) int64.

        Returns:
            The sum of the losses, each with the penalties of the weights, and how many samples the network
            classifies right (0 where the loss has no accuracy).
        """
        route = self._route('learn')
        loss, correct, gradient = self._loss(route, samples, index, training=True)
        if gradient is not None:
            route.backward(gradient)
        for layer in self._penalized:
            layer.add_penalty_gradient()
        return loss, correct

    def evaluate(self, samples, index):
        """Return what `learn` does, for a batch that nothing is learned from."""
        loss, correct, _ = self._loss(self._route('evaluate'), samples, index, training=False)
        return loss, correct

    def predict(self, x):
        """Return what the last layer makes of a batch, contiguous and of the network's dtype."""
        return self._route('predict').forward(x, training=False)

    def forward(self, x, training):
        """Return what the last layer makes of a batch, and keep what `backward` needs."""
        route = self._route('training' if training else 'inference')
        y = route.forward(x, training)
        self._kept = route, len(x)
        return y

    def backward(self, dy):
        """Write the gradients of all parameters, those of penalties included, and return the gradient of x.

        Raises:
            RuntimeError: `forward` was not the last that the plan ran.
            ValueError: dy is of another number of samples.
        """
        if self._kept is None:
            raise RuntimeError('backward: expected a call of forward just before, with no other batch in between')
        route, samples = self._kept
        if len(dy) != samples:
            raise ValueError(f'backward: expected the gradient of {samples} samples, as in forward, got {len(dy)}')
        dx = route.backward(dy)
        for layer in self._penalized:
            layer.add_penalty_gradient()
        return dx

    def penalty(self):
        """Return what the weights add to the loss of each sample."""
        return math.fsum(layer.penalty() for layer in self._penalized)  # sum rounds by the version of Python

    def times(self, samples, index):
        """Return the seconds of the forward and the backward pass of each part of `learn`, one by one."""
        route, seconds = self._route('learn'), []
        self.learn(samples, index)
        x, targets, *weights = samples.batch(index)
        for step in route.steps if route.head is None else (*route.steps, route.head):
            taken, x = step.times(x)
            seconds.extend(taken)
        if route.head is None:
            seconds.append((timed(value_and_gradient, self.loss, x, targets, *weights)[0], 0.0))
        return np.array(seconds)

    def timed_parts(self, samples):
        """Return the names of the parts that `times` measures, and their multiply-adds, both passes over a batch.

        They are counted as if nothing were zero: a weighted layer takes as many for each of its gradients as forward.
        """
        route = self._route('learn')
        parts = [part for step in route.steps for part in step.parts()]
        parts += [(type(self.loss).__name__, 0)] if route.head is None else route.head.parts()
        return [name for name, _ in parts], [count * samples for _, count in parts]

    def _loss(self, route, samples, index, training):
        """Run a batch up to its loss; return the sum of the losses, how many are right, and the gradient to go on with.

        That is the gradient of what the last step gave, or None for none: where only the head learns, for instance.
        """
        first = route.steps[0] if route.steps else route.head
        if isinstance(first, Sweep) and samples.direct:
            (x, *others), order = samples.arrays, index  # the sweep picks the samples itself
        else:
            (x, *others), order = samples.batch(index), None
        if route.steps:
            x = route.forward(x, training, order)
            others, order = [array if order is None else array[order] for array in others], None
        if route.head is not None:
            loss, correct, gradient = route.head.loss((x, *others), order)
        else:
            loss, gradient = value_and_gradient(self.loss, x, *others)
            loss *= len(index)
            correct = int(self.loss.count_correct(x, others[0])) if samples.measures_accuracy else 0
        if self._penalized:
            loss += len(index) * self.penalty()
        return loss, correct, gradient

    def _route(self, purpose):
        """Return the `Route` to 'learn', 'evaluate', 'predict', or for `forward` in 'training' or 'inference'."""
        self._kept = None
        route = self._routes.get(purpose)
        if route is None:
            training, count = purpose in ('learn', 'training'), len(self._layers)
            # The first layer that the backward pass goes through.
            learning = next((i for i, layer in enumerate(self._layers) if layer.learns), count)
            first = {'learn': learning, 'evaluate': count, 'predict': count}.get(purpose, 0)
            route = self._routes[purpose] = self._make_route(purpose, training, first)
        return route

    def _make_route(self, purpose, training, first):
        """Return a new route; the backward pass goes through the layers from `first` on."""
        backward = first < len(self._layers)
        parts = [layer for layer in self._layers if training or not layer.only_in_training]
        head, softmax = None, False
        if self._fused and parts:
            # Blocks write the gradients of all their weights.
            apart = [layer for layer in parts if backward and layer.parameters and not layer.learns]
            parts = fuse(parts, apart, training or backward)
            head, softmax = self._end(purpose, parts, backward)
        steps = []
        for kind, members in itertools.groupby(parts, type):
            if kind is not Fusion:
                steps += [Step(layer, layer.index >= first) for layer in members]
                continue
            fusions = list(members)
            last = fusions[-1] is parts[-1]
            steps.append(
                Sweep(
                    fusions,
                    sum(fusion.layer.index < first for fusion in fusions),
                    training=training or backward,
                    # To learn, that of the first layer's input is not needed.
                    input_gradient=backward and fusions[0].layer.index >= first + (purpose == 'learn'),
                    loss=head if last else None,
                    softmax=softmax and last,
                )
            )
        return Route(steps, None) if head is None else Route(steps[:-1], steps[-1])

    def _end(self, purpose, parts, backward):
        """Return the loss that the last fusion computes too, or None, and whether it computes the softmax after it.

        A Softmax that is left to the fusion is taken off the parts.
        """
        last_is_softmax = type(parts[-1]) is Softmax and len(parts) > 1
        fused = isinstance(parts[-2 if last_is_softmax else -1], Fusion)
        entropy = purpose in ('learn', 'evaluate') and type(self.loss) is CategoricalCrossEntropy
        with_loss = fused and entropy and last_is_softmax != self.loss.from_logits
        with_softmax = fused and last_is_softmax and not with_loss and not backward
        if last_is_softmax and (with_loss or with_softmax):
            del parts[-1]
        return self.loss if with_loss else None, with_softmax


def timed(function, *arguments):
    """Return how many seconds a call takes, and its result."""
    began = time.perf_counter()
    result = function(*arguments)
    return time.perf_counter() - began, result
