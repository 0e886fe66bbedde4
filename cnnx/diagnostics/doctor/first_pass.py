"""Findings from one training pass: initial loss, activations, gradients, dead and saturated units."""

import math

import numpy as np

from cnnx.diagnostics.doctor.findings import Finding, Row
from cnnx.execution import graph
from cnnx.execution.fusion import fuses_loss
from cnnx.execution.plan import LayerRun
from cnnx.layers import Convolutional, Dense, ReLU, Sigmoid, Tanh
from cnnx.losses import CategoricalCrossEntropy, value_and_gradient

# The largest fraction of idle units that is no finding. Networks in tests/diagnostics/test_doctor.py that work are far
# below it.
IDLE = 0.5
# The smallest and the largest ratio of the spread of a layer's outputs to that of x.
VANISHED, EXPLODED = 1e-3, 1e3
# The same for gradients, at the first and at the last layer with weights.
GRADIENT_VANISHED, GRADIENT_EXPLODED = 1e-3, 1e3
# Outputs closer to the limits of Tanh and Sigmoid than this have less than 1/25 of the largest gradient.
TANH_LIMIT, SIGMOID_LIMIT = 0.98, 0.49
# An initial loss of more than HIGH_LOSS ln(classes) + 1 is high.
HIGH_LOSS = 3


class FirstPass:
    """A training pass of a copy of a network, layer by layer, over one batch.

    Attributes:
        rows: a `Row` for each layer up to the loss, by the index of the layer.
        loss: the mean loss of the batch, without l2 penalties.
        spread: the standard deviation of x over samples, as in `Row`.
        without_gradient: trainable layers whose gradients are all 0.
    """

    def __init__(self, network, data, index):
        x, targets, *weights = data.batch(index)
        layers, self.rows, self.spread, self.without_gradient = network.layers, {}, _spread(x), []
        self._runs = [LayerRun(layer, True) for layer in layers]
        *_, y = graph.forward(network.reads, x, self._forward)
        self.loss, gradient = value_and_gradient(network.loss, y, targets, *weights)
        if fuses_loss(layers, network.loss):  # Softmax counts as a part of the loss
            del self.rows[layers[-1].index]
            gradient, layers = layers[-1].backward(gradient), layers[:-1]
        first = next((layer.index for layer in layers if layer.learns), len(layers))
        wanted = [layer.index >= first for layer in layers]
        graph.backward(network.reads[: len(layers)], gradient, self._backward, wanted)

    def _forward(self, i, x):
        layer, y = self._runs[i].layer, self._runs[i].forward(x, True)
        self.rows[i] = row = Row(f'{i} {type(layer).__name__}', _spread(y), _idle(layer, y))
        # Not known before some training steps.
        row.idle_later = None if row.idle is None else math.nan
        row.update = math.nan if isinstance(layer, (Convolutional, Dense)) and layer.learns else None
        return y

    def _backward(self, i, dy):
        layer = self._runs[i].layer
        self.rows[i].gradient = float(np.linalg.norm(dy))
        dx = self._runs[i].backward(dy)
        if layer.learns and not any(p.grad.any() for p in layer.parameters if p.learns):
            self.without_gradient.append(layer)
        return dx

    def idle(self):
        """Return the fraction of idle units, by the index of the layer."""
        return {index: row.idle for index, row in self.rows.items() if row.idle is not None}


def examine_first_pass(network, first_pass):
    """Return findings about the first pass."""
    if not math.isfinite(first_pass.loss):
        return [*_loss_not_finite(network, first_pass)]
    return [
        *_high_loss(network, first_pass),
        *idle_units(network, first_pass.idle(), 'before training'),
        *_activations(network, first_pass),
        *_gradients(network, first_pass),
    ]


def _loss_not_finite(network, first_pass):
    index = next((i for i, row in first_pass.rows.items() if not math.isfinite(row.spread)), None)
    where = 'the loss' if index is None else network.layers[index].where
    yield Finding(
        'loss_not_finite',
        'error',
        index,
        f'The loss of the first batch is {first_pass.loss}; {where} is the first value that is not finite.',
        'Make the initial weights, or the numbers in x, smaller.',
    )


def _high_loss(network, first_pass):
    if not isinstance(network.loss, CategoricalCrossEntropy):
        return
    classes = network.layers[-1].shape[-1]
    chance = math.log(classes)
    if first_pass.loss <= HIGH_LOSS * chance + 1:
        return
    spread, growth = first_pass.spread, {}
    for index, row in first_pass.rows.items():
        if isinstance(network.layers[index], (Convolutional, Dense)) and spread > 0:
            growth[index] = row.spread / spread
        spread = row.spread
    layer = network.layers[max(growth, key=growth.get)] if growth else network.layers[-1]
    yield Finding(
        'initial_loss',
        'warning',
        layer.index,
        f'The initial loss is {first_pass.loss:.3g}; equal probabilities for all classes give ln({classes}) = '
        f'{chance:.3g}. The network is confident of wrong classes; {layer.where} increases the numbers most, '
        f'{growth.get(layer.index, 1):.2g} times.',
        f'Initialize its weights smaller (he_normal for ReLU), or check the scale of x: its standard deviation over '
        f'samples is {first_pass.spread:.2g}.',
        {'loss': first_pass.loss, 'chance': chance},
    )


def idle_units(network, fractions, when):
    """Yield findings about layers whose units are mostly dead or saturated."""
    for index, fraction in fractions.items():
        layer, last = network.layers[index], index == len(network.layers) - 1
        if fraction <= IDLE or (last and not isinstance(layer, ReLU)):
            continue
        values = {'fraction': fraction}
        if isinstance(layer, ReLU):
            yield Finding(
                'dead_units',
                'error' if fraction == 1 else 'warning',
                index,
                f'{fraction:.0%} of the units of {layer.where} are 0 for all samples {when} (dead units): they pass '
                'back no gradient, and stay 0.',
                'Look for large negative biases in the layer before it; or try a smaller learning rate, new initial '
                'weights (he_normal, biases of 0), or LeakyReLU.',
                values,
            )
        else:
            yield Finding(
                'saturated',
                'warning',
                index,
                f'{fraction:.0%} of the outputs of {layer.where} are saturated {when}: at its limits, with almost no '
                'gradient.',
                'Make its inputs smaller: initialize weights with glorot_uniform, normalise x, or put '
                'BatchNormalization before it.',
                values,
            )


def _activations(network, first_pass):
    for index, row in first_pass.rows.items():
        if first_pass.spread == 0 or row.idle == 1:
            return  # the layers after it get constant inputs
        ratio = row.spread / first_pass.spread
        if VANISHED <= ratio <= EXPLODED:
            continue
        layer, small = network.layers[index], ratio < VANISHED
        if _starts_at_zero(layer):
            return
        yield Finding(
            'activations_vanish' if small else 'activations_explode',
            'warning',
            index,
            f'The standard deviation over samples is {row.spread:.2g} in the outputs of {layer.where}, and '
            f'{first_pass.spread:.2g} in x: activations {"vanish" if small else "explode"} on the way there.',
            f'Initialize weights {"larger" if small else "smaller"}: he_normal keeps the scale through ReLU, '
            'glorot_uniform through Tanh; or put BatchNormalization after the layers.',
            {'ratio': ratio},
        )
        return


def _starts_at_zero(layer):
    """Return whether the weights of a layer are zeros, as may be intended for the last one."""
    return isinstance(layer, (Convolutional, Dense)) and not layer.weights.any()


def _gradients(network, first_pass):
    zeros = [layer.index for layer in network.layers if _starts_at_zero(layer) and layer.learns]
    for layer in first_pass.without_gradient:
        if any(index > layer.index for index in zeros):
            continue
        yield Finding(
            'no_gradient',
            'error',
            layer.index,
            f'The gradients of {layer.where} are all 0: it does not learn.',
            'Look at the layers after it: dead units, or weights that are 0.',
        )
    weighted = [
        (index, row)
        for index, row in first_pass.rows.items()
        if isinstance(network.layers[index], (Convolutional, Dense)) and row.gradient
    ]
    if first_pass.without_gradient or len(weighted) < 2:
        return
    (first, row), (_, last) = weighted[0], weighted[-1]
    ratio = row.gradient / last.gradient
    if GRADIENT_VANISHED <= ratio <= GRADIENT_EXPLODED:
        return
    small = ratio < GRADIENT_VANISHED
    yield Finding(
        'gradients_vanish' if small else 'gradients_explode',
        'warning',
        first,
        f'The gradient is {last.gradient:.2g} at the last layer with weights and {row.gradient:.2g} at '
        f'{network.layers[first].where}: it {"vanishes" if small else "explodes"} on the way back.',
        'Use ReLU with he_normal, or BatchNormalization after the layers with weights'
        + ('; each Sigmoid multiplies the gradient by 1/4 or less.' if small else ', or clip_norm in the optimizer.'),
        {'ratio': ratio},
    )


def _spread(x):
    """Return the root of the mean, over units, of the variance over samples."""
    return math.sqrt(float(x.reshape(len(x), -1).var(axis=0, dtype=np.float64).mean()))


def _idle(layer, y):
    """Return the fraction of units that are 0 for all samples and pixels, or of outputs that are saturated."""
    if isinstance(layer, ReLU):
        return float((y.reshape(-1, y.shape[-1]) == 0).all(axis=0).mean())
    if isinstance(layer, Tanh):
        return float((np.abs(y) > TANH_LIMIT).mean())
    if isinstance(layer, Sigmoid):
        return float((np.abs(y - 0.5) > SIGMOID_LIMIT).mean())
    return None
