"""How one batch runs: which layers, in which order, into which arrays.

A plan owns the arrays that layers write into and lends them out again for the next batch, so that a step
after the first allocates nothing of the batch's size. Neighbouring layers that blocks can run are one step
(groups.py, blocks.py); others are a step each.
"""

import copy
import itertools
import math
import time
from typing import NamedTuple

import numpy as np

from cnnx._util.validation import true_or_false
from cnnx.execution.buffers import Buffers
from cnnx.execution.fusion import Group, split
from cnnx.execution.program import Sweep
from cnnx.layers import Sigmoid, Softmax
from cnnx.losses import CategoricalCrossEntropy


class Step:
    """A layer with the arrays that it writes into.

    Args:
        layer: that runs alone.
        learns: whether gradients come to it: in it, or before it, something is learned.
        input_gradient: whether they go on to the layers before it.
    """

    def __init__(self, layer, learns, input_gradient):
        self.layer = layer
        self.learns = learns
        self.input_gradient = input_gradient
        self._buffers = Buffers()

    @property
    def name(self):
        return f'{self.layer.index} {type(self.layer).__name__}'

    def forward(self, x, training):
        return self.layer.compute(x, training, self._buffers.empty)

    def backward(self, dy):
        return self.layer.compute_gradient(dy, self._buffers.empty, self.input_gradient)

    def times(self, x):
        """Return the seconds of the passes over a batch, [(forward, backward)], and y."""
        forward, y = _timed(self.forward, x, True)
        backward, _ = _timed(self.backward, y.copy()) if self.learns else (0.0, None)
        return [(forward, backward)], y

    def parts(self):
        """Return [(name, multiply-adds of both passes over a sample)]."""
        return [(self.name, self.layer.multiply_adds * (1 + self.learns + self.input_gradient))]


class Route(NamedTuple):
    """How a batch goes through a network for one purpose.

    Attributes:
        steps: in order, `Step` and `Sweep` objects, but for the head.
        head: a `Sweep` behind them that computes the loss too, and what it learns from it; or None.
        backward_steps: those of the steps that gradients go back through, the last first.
        gathers: whether the first of all picks the samples of a batch itself.
    """

    steps: list
    head: Sweep | None
    backward_steps: list
    gathers: bool

    @property
    def all_steps(self):
        """The steps and the head."""
        return self.steps if self.head is None else [*self.steps, self.head]

    @property
    def keeps_apart(self):
        """Whether it shares no arrays with routes for other purposes, as layers and losses that run alone do."""
        return self.head is not None and all(isinstance(step, Sweep) for step in self.steps)


class Plan:
    """The steps of a network, and the loss behind them.

    Softmax followed by cross-entropy is replaced by cross-entropy from logits, which is the same function
    without the loss of digits in between; `outputs` are logits then.

    Attributes:
        steps: the layers one by one, as far as the loss is computed from them.
        backward_steps: those that gradients go back through, the last first.
        lock: the network's; hold it from a call until its result is copied, since results are lent.
    """

    def __init__(self, layers, loss, lock):
        self.lock = lock
        self._loss_buffers = Buffers()
        self._weights = None
        first = next((i for i, layer in enumerate(layers) if layer.learns), len(layers))
        self._all_steps = [Step(layer, learns=i >= first, input_gradient=i > first) for i, layer in enumerate(layers)]
        fused = fuses_softmax(layers, loss)
        # A loss keeps what its gradient needs, and may be another network's too, in another thread.
        self.loss = CategoricalCrossEntropy(True, loss.label_smoothing) if fused else copy.copy(loss)
        self.steps = self._all_steps[:-1] if fused else self._all_steps
        self.backward_steps = self.steps[first:][::-1]
        self._cross_entropy = isinstance(self.loss, CategoricalCrossEntropy) and self.loss.from_logits
        self._penalized = [layer for layer in layers if layer.l2 > 0]
        self._in_blocks = True
        self._routes = {}
        self._learning = None

    def learn(self, samples, index):
        """Write the gradients of all parameters for a batch.

        Args:
            samples: a `cnnx.training.array_data.ArrayData`.
            index: which of them make up the batch, (N,) int64.

        Returns:
            The sum of the losses, each with the penalties of the weights, and how many samples the network
            classifies right (0 where the loss has no accuracy).

        Raises:
            RuntimeError: a batch is being learned already.
        """
        route = self._route('learn')
        self._learning = route
        try:
            found = self._run(route, samples, index, training=True)
            if route.backward_steps:
                gradient = self.loss_gradient() if route.head is None else route.head.input_gradient(len(index))
                for step in route.backward_steps:
                    gradient = step.backward(gradient)
            if self._penalized:
                self.add_penalty_gradients()
        finally:
            self._learning = None
        return found

    def assess(self, samples, index):
        """Return what `learn` does, for a batch that nothing is learned from."""
        return self._run(self._route('assess'), samples, index, training=False)

    def predict(self, x):
        """Return what the last layer makes of a batch, contiguous and of the network's dtype."""
        for step in self._route('predict').steps:
            x = step.forward(x, training=False)
        return x

    def times(self, samples, index):
        """Return the seconds of the forward and the backward pass of each part of `learn`, one by one."""
        route, seconds = self._route('learn'), []
        self.learn(samples, index)
        x, targets, *_ = samples.batch(index)
        for step in route.all_steps:
            taken, x = step.times(x)
            seconds.extend(taken)
        if route.head is None:
            forward, _ = _timed(self.losses, x, targets)
            backward, _ = _timed(self.loss_gradient)
            seconds.append((forward, backward))
        return np.array(seconds)

    @property
    def step_names(self):
        """What the steps are called where the layers run one by one, the loss last."""
        return [*(step.name for step in self.steps), type(self.loss).__name__]

    def timed_parts(self, samples):
        """Return the names of the parts that `times` tells of, and their multiply-adds, both passes over a batch.

        They are counted as if nothing were zero: a weighted layer takes as many for each of its gradients as
        forward, and the first one that learns has no gradient of its input.
        """
        route = self._route('learn')
        parts = [part for step in route.all_steps for part in step.parts()]
        if route.head is None:
            parts.append((type(self.loss).__name__, 0))
        return [name for name, _ in parts], [count * samples for _, count in parts]

    def first_not_finite(self, x):
        """Return the first layer that makes NaN or infinity of a batch of finite numbers, or None."""
        for step in self._all_steps:
            x = step.forward(x, training=False)
            if not np.isfinite(x).all():
                return step.layer
        return None

    def run_layer_by_layer(self):
        """Leave the blocks alone from here on."""
        self._in_blocks = False
        self._routes = {}

    def _route(self, purpose):
        """Return the `Route` to 'learn', 'assess' or 'predict'."""
        # The lock keeps other threads away, and not what a signal handler calls.
        if self._learning is not None and (purpose == 'learn' or not self._learning.keeps_apart):
            raise RuntimeError('the network is in the middle of a batch; have the signal handler set a flag')
        route = self._routes.get(purpose)
        if route is None:
            route = self._routes[purpose] = self._new_route(purpose)
        return route

    def _new_route(self, purpose):
        training, predicting = purpose == 'learn', purpose == 'predict'
        alone = {step.layer: step for step in (self._all_steps if predicting else self.steps)}
        layers = [layer for layer in alone if training or not layer.only_in_training]
        parts = layers
        if self._in_blocks:
            # Blocks write the gradients of all their weights.
            apart = [layer for layer in layers if training and alone[layer].learns and layer.frozen]
            parts = split(layers, apart, training)
        settings = {}
        if not training and [type(part) for part in parts[-2:]] == [Group, Softmax]:
            settings['softmax'] = bool(parts.pop())
        elif parts and type(parts[-1]) is Group and self._cross_entropy and not predicting:
            settings['loss'] = self.loss
        steps = []
        for kind, members in itertools.groupby(parts, type):
            if kind is not Group:
                steps += [alone[layer] for layer in members]
                continue
            groups = list(members)
            steps.append(
                Sweep(
                    groups,
                    training=training and alone[groups[-1].layer].learns,
                    frozen=sum(not alone[group.layer].learns for group in groups),
                    input_gradient=training and alone[groups[0].layer].input_gradient,
                    **(settings if groups[-1] is parts[-1] else {}),
                )
            )
        gathers = bool(steps) and isinstance(steps[0], Sweep)
        head = steps.pop() if 'loss' in settings else None
        return Route(steps, head, [step for step in reversed(steps) if step.learns], gathers)

    def _run(self, route, samples, index, training):
        """Run a batch up to the loss, and where a step does that too, back through it; return what `learn` does."""
        if route.gathers and samples.direct:
            sources, order = samples.arrays, index
        else:
            sources, order = samples.batch(index), None
        for step in route.steps:
            if order is None:
                sources = step.forward(sources[0], training), *sources[1:]
            else:
                x = step.forward(sources[0], training, order)
                sources, order = (x, *(array[order] for array in sources[1:])), None
        if route.head is not None:
            program = route.head.program(len(index), samples.weights is not None)
            program.run(len(index), backward=training, sources=sources, order=order)
            loss, correct = program.totals(len(index))
        else:
            loss = float(self.losses(*sources).sum(dtype=np.float64))
            correct = int(self.loss.count_correct(*sources[:2])) if samples.measures_accuracy else 0
        if self._penalized:
            loss += len(index) * self.penalty()
        return loss, correct

    def penalty(self):
        """Return what the weights add to the loss of each sample."""
        return math.fsum(layer.penalty() for layer in self._penalized)  # sum rounds by the version of Python

    def add_penalty_gradients(self):
        """Add what `penalty` makes of the weights' gradients."""
        for layer in self._penalized:
            layer.add_penalty_gradient()

    def outputs(self, x, training):
        """Return what the loss is computed from."""
        for step in self.steps:
            x = step.forward(x, training)
        return x

    def losses(self, outputs, targets, weights=None):
        """Return the loss of each sample, times its weight."""
        self._weights = weights
        losses = self.loss.compute(outputs, targets, self._loss_buffers.empty)
        return losses if weights is None else losses * weights

    def loss_gradient(self):
        """Return the gradient of the mean of the losses just computed by the outputs."""
        gradient = self.loss.compute_gradient(self._loss_buffers.empty)
        if self._weights is not None:
            gradient *= self._weights.reshape(-1, *[1] * (gradient.ndim - 1))
        return gradient

    def backward(self):
        """Write the gradients of all parameters, for the outputs and losses just computed."""
        gradient = self.loss_gradient()
        for step in self.backward_steps:
            gradient = step.backward(gradient)


def _timed(function, *arguments):
    began = time.perf_counter()
    result = function(*arguments)
    return time.perf_counter() - began, result


def fuses_softmax(layers, loss):
    """Whether the last layer and the loss run as one step."""
    return isinstance(layers[-1], Softmax) and isinstance(loss, CategoricalCrossEntropy) and not loss.from_logits


def fusions(layers, loss):
    """Return lines that say which layers run as one."""
    groups = [part for part in split(layers) if isinstance(part, Group)]
    lines = [f'layers {group.name} run as one block' for group in groups if len(group.layers) > 1]
    if layers and fuses_softmax(layers, loss):
        lines.append(f'layer {len(layers) - 1} (Softmax) and CategoricalCrossEntropy train as one step')
    return lines


def check_layers_fit(layers, dtype):
    """Raise a ValueError if a layer does not take what the one before it gives, or its `trainable` is no bool."""
    shape = layers[0].input_shape
    for layer in layers:
        true_or_false(layer.trainable, f'{layer.where}: trainable')
        if (layer.input_shape, layer.dtype) != (shape, dtype):
            raise ValueError(
                f'{layer.where}: expected input {layer.input_shape} of {layer.dtype}, would get {shape} of {dtype}; '
                'build the network with Network.add'
            )
        shape = layer.output_shape


def check_loss_fits(layers, loss):
    """Raise a ValueError if the last layer does not give what the loss takes."""
    if not layers:
        raise RuntimeError('the network has no layers; add some first')
    last = layers[-1]
    if not isinstance(loss, CategoricalCrossEntropy):
        return
    if len(last.output_shape) != 1 or last.output_shape[0] < 2:
        raise ValueError(
            f'CategoricalCrossEntropy: expected at least 2 classes, {last.where} gives {last.output_shape}'
        )
    if loss.from_logits and isinstance(last, Softmax):
        raise ValueError(
            f'CategoricalCrossEntropy(from_logits=True) behind {last.where} would take the softmax twice; '
            'leave out one of the two'
        )
    if not loss.from_logits and not isinstance(last, (Softmax, Sigmoid)):
        raise ValueError(
            f'CategoricalCrossEntropy: expected probabilities, {last.where} gives any numbers; '
            'add Softmax(), or use CategoricalCrossEntropy(from_logits=True)'
        )
