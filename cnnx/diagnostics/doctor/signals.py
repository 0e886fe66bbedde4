"""What is wrong with the first pass: the loss, the sizes of activations and gradients, units that do nothing."""

import math

import numpy as np

from cnnx.diagnostics.doctor.findings import Finding, Row
from cnnx.execution.fusion import fuses_loss
from cnnx.layers import Convolutional, Dense, ReLU, Sigmoid, Tanh
from cnnx.losses import CategoricalCrossEntropy, value_and_gradient

# Calibrated in tests/test_doctor.py: what healthy networks come to is far from these.
IDLE = 0.5
# How much smaller, or larger, than those of x the differences between samples may become.
VANISHED, EXPLODED = 1e-3, 1e3
# The same, of the gradients from the last weighted layer to the first.
GRADIENT_VANISHED, GRADIENT_EXPLODED = 1e-3, 1e3
# Outputs so near to the limits have less than a twenty-fifth of the largest gradient.
TANH_LIMIT, SIGMOID_LIMIT = 0.98, 0.49
# So many times ln(classes), and so much more.
HIGH_LOSS = 3


class Signals:
    """A training pass of a copy of a network, layer by layer, over one batch.

    Attributes:
        rows: a `Row` for each layer up to the loss, by the layer's index.
        loss: the mean loss of the batch, without penalties of weights.
        spread: the standard deviation of x from sample to sample.
        without_gradient: layers that learn, and have gradients of 0 alone.
    """

    def __init__(self, network, samples, index):
        x, targets, *weights = samples.batch(index)
        layers, self.rows, self.spread, self.without_gradient = network.layers, {}, _spread(x), []
        for layer in layers:
            x = layer.forward(x, training=True)
            self.rows[layer.index] = Row(f'{layer.index} {type(layer).__name__}', _spread(x), _idle(layer, x))
        self.loss, gradient = value_and_gradient(network.loss, x, targets, *weights)
        if fuses_loss(layers, network.loss):  # they count as one
            del self.rows[layers[-1].index]
            gradient, layers = layers[-1].backward(gradient), layers[:-1]
        first = next((layer.index for layer in layers if layer.learns), len(layers))
        for layer in reversed(layers[first:]):
            self.rows[layer.index].gradient = float(np.linalg.norm(gradient))
            gradient = layer.backward(gradient)
            if layer.learns and not any(p.grad.any() for p in layer.parameters if p.learns):
                self.without_gradient.append(layer)

    def idle(self):
        """Return the shares of idle units by the layer's index."""
        return {index: row.idle for index, row in self.rows.items() if row.idle is not None}


def examine_signals(network, signals):
    """Return findings about the first pass."""
    if not math.isfinite(signals.loss):
        return [*_not_finite(network, signals)]
    return [
        *_loss(network, signals),
        *idle_units(network, signals.idle(), 'before training'),
        *_sizes(network, signals),
        *_gradients(network, signals),
    ]


def _not_finite(network, signals):
    index = next((i for i, row in signals.rows.items() if not math.isfinite(row.spread)), None)
    where = 'the loss' if index is None else network.layers[index].where
    yield Finding(
        'loss_not_finite',
        'error',
        index,
        f'The loss of the first batch is {signals.loss}; {where} is the first that is not finite.',
        'Make the initial weights, or the numbers in x, smaller.',
    )


def _loss(network, signals):
    if not isinstance(network.loss, CategoricalCrossEntropy):
        return
    classes = network.layers[-1].shape[0]
    chance = math.log(classes)
    if signals.loss <= HIGH_LOSS * chance + 1:
        return
    spread, grown = signals.spread, {}
    for index, row in signals.rows.items():
        if isinstance(network.layers[index], (Convolutional, Dense)) and spread > 0:
            grown[index] = row.spread / spread
        spread = row.spread
    layer = network.layers[max(grown, key=grown.get)] if grown else network.layers[-1]
    yield Finding(
        'initial_loss',
        'warning',
        layer.index,
        f'The first loss is {signals.loss:.3g}; choosing all classes alike gives ln({classes}) = {chance:.3g}.'
        f' The network is sure of answers that are wrong: {layer.where} makes numbers larger the most, '
        f'{grown.get(layer.index, 1):.2g} times.',
        f'Draw its weights smaller (he_normal for ReLU), or look at the size of x: {signals.spread:.2g} from sample to '
        'sample.',
        {'loss': signals.loss, 'chance': chance},
    )


def idle_units(network, shares, when):
    """Yield layers most of whose units do nothing."""
    for index, share in shares.items():
        layer, last = network.layers[index], index == len(network.layers) - 1
        if share <= IDLE or (last and not isinstance(layer, ReLU)):
            continue
        figures = {'share': share}
        if isinstance(layer, ReLU):
            yield Finding(
                'dead_units',
                'error' if share == 1 else 'warning',
                index,
                f'{share:.0%} of the units of {layer.where} are 0 for all samples {when}: no gradient comes through '
                'them, and they stay so.',
                'Look for a large negative bias or a large learning rate before it, begin with new weights (he_normal, '
                'biases of 0), or use LeakyReLU.',
                figures,
            )
        else:
            yield Finding(
                'saturated',
                'warning',
                index,
                f'{share:.0%} of the outputs of {layer.where} are at its limits {when}, with next to no gradient.',
                'Make its inputs smaller: weights from glorot_uniform, x normalised, or BatchNormalization before it.',
                figures,
            )


def _sizes(network, signals):
    for index, row in signals.rows.items():
        if signals.spread == 0 or row.idle == 1:
            return  # nothing comes to the layers behind it
        ratio = row.spread / signals.spread
        if VANISHED <= ratio <= EXPLODED:
            continue
        layer, small = network.layers[index], ratio < VANISHED
        if _starts_at_zero(layer):
            return
        yield Finding(
            'activations_vanish' if small else 'activations_explode',
            'warning',
            index,
            f'From sample to sample the outputs of {layer.where} differ by {row.spread:.2g}, x by '
            f'{signals.spread:.2g}: the signal {"fades" if small else "grows"} on the way there.',
            f'Draw weights {"larger" if small else "smaller"}: he_normal keeps the size through ReLU, glorot_uniform '
            'through Tanh; or put BatchNormalization behind the layers.',
            {'ratio': ratio},
        )
        return


def _starts_at_zero(layer):
    """Whether its weights are zeros, as may be meant for a last layer: nothing comes through before the first step."""
    return isinstance(layer, (Convolutional, Dense)) and not layer.weights.any()


def _gradients(network, signals):
    behind = [layer.index for layer in network.layers if _starts_at_zero(layer) and layer.learns]
    for layer in signals.without_gradient:
        if any(index > layer.index for index in behind):
            continue
        yield Finding(
            'no_gradient',
            'error',
            layer.index,
            f'No gradient comes to {layer.where}: it learns nothing.',
            'Look at the layers behind it: dead units, or weights of zeros.',
        )
    weighted = [
        (index, row)
        for index, row in signals.rows.items()
        if isinstance(network.layers[index], (Convolutional, Dense)) and row.gradient
    ]
    if signals.without_gradient or len(weighted) < 2:
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
        f'The gradient is {last.gradient:.2g} at the last weighted layer and {row.gradient:.2g} at '
        f'{network.layers[first].where}: {"it fades" if small else "it grows"} on the way back.',
        'Use ReLU with he_normal, or BatchNormalization behind the weighted layers'
        + ('; Sigmoid takes a gradient times 1/4 or less each time.' if small else ', or clip_norm in the optimizer.'),
        {'ratio': ratio},
    )


def _spread(x):
    """Return the root of the mean, over units, of the variance over samples."""
    return math.sqrt(float(x.reshape(len(x), -1).var(axis=0, dtype=np.float64).mean()))


def _idle(layer, y):
    """Return the share of units that are 0 for all samples and pixels, or of outputs that are saturated."""
    if isinstance(layer, ReLU):
        return float((y.reshape(-1, y.shape[-1]) == 0).all(axis=0).mean())
    if isinstance(layer, Tanh):
        return float((np.abs(y) > TANH_LIMIT).mean())
    if isinstance(layer, Sigmoid):
        return float((np.abs(y - 0.5) > SIGMOID_LIMIT).mean())
    return None
