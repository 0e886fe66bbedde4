"""How one batch runs: which layers, in which order, into which arrays.

A plan owns the arrays that layers write into and lends them out again for the next batch, so that a step
after the first allocates nothing of the batch's size. Where blocks can run all layers, they do (blocks.py);
elsewhere a batch goes layer by layer.
"""

import math
import time

import numpy as np

from cnnx import kernels
from cnnx.blocks import Program, group
from cnnx.layers import Sigmoid, Softmax
from cnnx.losses import CategoricalCrossEntropy


class Buffers:
    """Arrays that are lent out by name, and grow when a larger one is asked for."""

    def __init__(self):
        self._arrays = {}

    def empty(self, name, shape, dtype):
        """Return an array with arbitrary contents, which is good until the next one of that name."""
        size = math.prod(shape)
        array = self._arrays.get(name)
        if array is None or array.size < size or array.dtype != dtype:
            array = self._arrays[name] = np.empty(size, dtype)
        return array[:size].reshape(shape)


class Step:
    """A layer with the arrays that it writes into."""

    def __init__(self, layer, input_gradient):
        self.layer = layer
        self.input_gradient = input_gradient
        self._buffers = Buffers()

    def forward(self, x, training):
        return self.layer.compute(x, training, self._buffers.empty)

    def backward(self, dy):
        return self.layer.compute_gradient(dy, self._buffers.empty, self.input_gradient)


class Plan:
    """The steps of a network, and the loss behind them.

    Softmax followed by cross-entropy is replaced by cross-entropy from logits, which is the same function
    without the loss of digits in between; `outputs` are logits then.

    Attributes:
        steps: what `forward` runs, in order, where the layers run one by one.
        groups: the layers that run as one block, or None where some cannot.
        lock: the network's; hold it from a call until its result is copied, since results are lent.
    """

    def __init__(self, layers, loss, lock):
        self.lock = lock
        first_trained = next((i for i, layer in enumerate(layers) if layer.parameters), len(layers))
        steps = [Step(layer, input_gradient=i > first_trained) for i, layer in enumerate(layers)]
        self._all_steps = steps
        self._loss_buffers = Buffers()
        fused = fuses_softmax(layers, loss)
        self.loss = CategoricalCrossEntropy(from_logits=True) if fused else loss
        self.steps = steps[:-1] if fused else steps
        self.backward_steps = self.steps[first_trained:][::-1]
        self.groups = group(layers)
        self._in_blocks = self.groups is not None and (fused or not isinstance(layers[-1], Softmax))
        self._cross_entropy = isinstance(self.loss, CategoricalCrossEntropy) and self.loss.from_logits
        self._softmax = isinstance(layers[-1], Softmax)
        self._programs = {}

    def learn(self, samples, index):
        """Write the gradients of all parameters for a batch.

        Args:
            samples: a `cnnx.training.Samples`.
            index: which of them make up the batch, (N,) int64.

        Returns:
            The sum of the losses, and how many samples the network classifies right (0 where the loss has
            no accuracy).
        """
        program = self._program('learn', len(index))
        if program is None:
            outputs, targets = self._read_layers(samples, index, training=True)
        elif self._cross_entropy:
            self._read(program, samples, index, backward=True)
            return program.totals(len(index))
        else:
            outputs, targets = self._read(program, samples, index)
        found = self._sum_losses(samples, outputs, targets)
        if program is None:
            self.backward()
        else:
            program.dy[: len(index)] = self.loss_gradient()
            program.run(len(index), forward=False, backward=True)
        return found

    def assess(self, samples, index):
        """Return what `learn` does, for a batch that nothing is learned from."""
        program = self._program('assess', len(index))
        if program is None:
            outputs, targets = self._read_layers(samples, index, training=False)
        elif self._cross_entropy:
            self._read(program, samples, index)
            return program.totals(len(index))
        else:
            outputs, targets = self._read(program, samples, index)
        return self._sum_losses(samples, outputs, targets)

    def predict(self, x):
        """Return what the last layer makes of a batch, contiguous and of the network's dtype."""
        program = self._program('predict', len(x))
        if program is not None:
            program.run(len(x), sources=(x,))
            return program.y[: len(x)]
        for step in self._all_steps:
            x = step.forward(x, training=False)
        return x

    def times(self, samples, index):
        """Return the seconds of the forward and the backward pass of each part of `learn`, one by one."""
        program = self._program('learn', len(index))
        if program is not None:
            return program.times(len(index))
        x, targets = samples.batch(index)
        seconds = np.zeros((len(self.steps) + 1, 2))
        for i, step in enumerate(self.steps):
            seconds[i, 0], x = _timed(step.forward, x, True)
        seconds[-1, 0], _ = _timed(self.losses, x, targets)
        seconds[-1, 1], gradient = _timed(self.loss_gradient)
        for step in self.backward_steps:
            seconds[self.steps.index(step), 1], gradient = _timed(step.backward, gradient)
        return seconds

    @property
    def step_names(self):
        """What the steps are called where the layers run one by one, the loss last."""
        names = [f'{step.layer.index} {type(step.layer).__name__}' for step in self.steps]
        return [*names, type(self.loss).__name__]

    def timed_parts(self, samples):
        """Return the names of the parts that `times` tells of, and their multiply-adds, both passes over a batch.

        They are counted as if nothing were zero: a weighted layer takes as many for each of its gradients as
        forward, and the first one has no gradient of its input.
        """
        program = self._program('learn', samples)
        if program is None:
            names = self.step_names
            counts = [step.layer.multiply_adds * (3 if step.input_gradient else 2) for step in self.steps] + [0]
        else:
            names, weighted = program.names, {group.name: group.multiply_adds for group in self.groups}
            first = self.groups[0].name
            counts = [weighted.get(name, 0) * (2 if name == first else 3) for name in names]
        return names, [count * samples for count in counts]

    def first_not_finite(self, x):
        """Return the first layer that makes NaN or infinity of a batch of finite numbers, or None."""
        for step in self._all_steps:
            x = step.forward(x, training=False)
            if not np.isfinite(x).all():
                return step.layer
        return None

    def run_layer_by_layer(self):
        """Leave the blocks alone from here on."""
        self.groups = None

    def _program(self, purpose, samples):
        """Return the blocks for a batch, or None where it goes layer by layer."""
        if self.groups is None or not (self._in_blocks or purpose == 'predict'):
            return None
        key = purpose, kernels.current().name
        program = self._programs.get(key)
        if program is None or program.capacity < samples or program.threads < kernels.num_threads():
            program = self._programs[key] = Program(
                self.groups,
                self.groups[0].weighted.dtype,
                samples,
                training=purpose == 'learn',
                loss=purpose != 'predict' and self._cross_entropy,
                softmax=purpose == 'predict' and self._softmax,
            )
        return program

    def _read(self, program, samples, index, backward=False):
        """Run the blocks over some samples; return the outputs and the targets."""
        if samples.direct:
            sources, order = (samples.x, samples.targets), index
        else:
            sources, order = samples.batch(index), None
        program.run(len(index), backward=backward, sources=sources, order=order)
        if self._cross_entropy:
            return None
        return program.y[: len(index)], samples.targets[index]

    def _read_layers(self, samples, index, training):
        x, targets = samples.batch(index)
        return self.outputs(x, training), targets

    def _sum_losses(self, samples, outputs, targets):
        total = float(self.losses(outputs, targets).sum(dtype=np.float64))
        return total, self.loss.count_correct(outputs, targets) if samples.measures_accuracy else 0

    def outputs(self, x, training):
        """Return what the loss is computed from."""
        for step in self.steps:
            x = step.forward(x, training)
        return x

    def losses(self, outputs, targets):
        """Return the loss of each sample."""
        return self.loss.compute(outputs, targets, self._loss_buffers.empty)

    def loss_gradient(self):
        """Return the gradient of the mean of the losses just computed by the outputs."""
        return self.loss.compute_gradient(self._loss_buffers.empty)

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
    groups = group(layers) or []
    lines = [f'layers {g.name} run as one block' for g in groups if len(g.layers) > 1]
    if layers and fuses_softmax(layers, loss):
        lines.append(f'layer {len(layers) - 1} (Softmax) and CategoricalCrossEntropy train as one step')
    return lines


def check_layers_fit(layers, dtype):
    """Raise a ValueError if a layer does not take what the one before it gives."""
    shape = layers[0].input_shape
    for layer in layers:
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
