"""Findings about layers, loss and initial weights, without running the network."""

from itertools import pairwise

import numpy as np

from cnnx.diagnostics.doctor.findings import Finding
from cnnx.execution import graph
from cnnx.layers import (
    AveragePooling,
    BatchNormalization,
    Convolutional,
    Dense,
    Dropout,
    Flatten,
    GlobalAveragePooling,
    ReLU,
    Sigmoid,
    Softmax,
    Tanh,
    TransposedConvolutional,
)
from cnnx.losses import CategoricalCrossEntropy

WEIGHTED = (Convolutional, Dense, TransposedConvolutional)
# Two layers with weights and only these between them are together linear.
LINEAR = (AveragePooling, BatchNormalization, Dropout, Flatten, GlobalAveragePooling)
# Each Sigmoid multiplies the gradient by 1/4 or less.
MANY_SIGMOIDS = 3


def examine_structure(network):
    """Return findings about layers, loss and weights."""
    chains = [[network.layers[i] for i in chain] for chain in graph.chains(network.reads)]
    orders = [finding for chain in chains for finding in _order(chain)]
    return [*_output(network), *orders, *_weights(network)]


def _output(network):
    layers, last = network.layers, network.layers[-1]
    classifies = isinstance(network.loss, CategoricalCrossEntropy)
    for layer, after in _neighbours(layers, (Dropout, Flatten)):
        if isinstance(layer, Softmax) and isinstance(after, Softmax):
            yield Finding(
                'softmax_twice',
                'error',
                after.index,
                f'{after.where} computes the softmax of the probabilities of {layer.where}: its outputs never '
                'come near 0 or 1, and the loss never near 0.',
                f'Remove {layer.where}.',
            )
    logits = last if classifies and network.loss.from_logits else None
    if isinstance(last, Softmax) and len(layers) > 1:
        logits = layers[-2]
    if isinstance(logits, (ReLU, Sigmoid, Tanh)):
        limits = {ReLU: '0 or more, with no gradient at 0', Sigmoid: '0 to 1', Tanh: '-1 to 1'}
        yield Finding(
            'activation_before_softmax',
            'warning',
            logits.index,
            f'{logits.where} stands directly before the softmax, and limits the logits to '
            f'{next(text for kind, text in limits.items() if isinstance(logits, kind))}.',
            'Remove it, so that the softmax gets the outputs of the Dense layer before it.',
        )
    elif isinstance(logits, Dropout) or isinstance(last, Dropout):
        layer = logits if isinstance(logits, Dropout) else last
        yield Finding(
            'dropout_last',
            'warning',
            layer.index,
            f'{layer.where} drops outputs of the network: a dropped logit is 0 for any sample.',
            'Move it before the last Dense layer, or remove it.',
        )


def _order(layers):
    for layer, after in _neighbours(layers, LINEAR):
        depthwise = isinstance(layer, Convolutional) and layer.is_depthwise  # and pointwise: separable convolutions
        if isinstance(layer, WEIGHTED) and isinstance(after, WEIGHTED) and not depthwise:
            yield Finding(
                'linear_in_a_row',
                'warning',
                after.index,
                f'No activation between {layer.where} and {after.where}: together they compute the same as a '
                'single linear layer.',
                'Put ReLU() between them.',
            )
    for layer, after in pairwise(layers):
        if isinstance(layer, Dropout) and isinstance(after, BatchNormalization):
            yield Finding(
                'dropout_before_normalization',
                'note',
                after.index,
                f'{after.where} normalises the outputs of {layer.where}, whose variance in training differs from '
                'that in prediction.',
                'Put Dropout after the last BatchNormalization (Li et al., "Understanding the disharmony between '
                'dropout and batch normalization by variance shift", 2019).',
            )
    sigmoids = [layer for layer in layers[:-1] if isinstance(layer, Sigmoid)]
    if len(sigmoids) >= MANY_SIGMOIDS:
        yield Finding(
            'sigmoids',
            'note',
            sigmoids[0].index,
            f'{len(sigmoids)} Sigmoid layers: each multiplies the gradient by 1/4 or less, and has outputs around 1/2 '
            'instead of 0.',
            'ReLU and Tanh learn faster (Glorot and Bengio, "Understanding the difficulty of training deep '
            'feedforward neural networks", 2010).',
        )


def _weights(network):
    layers = [layer for layer in network.layers if layer.parameters]
    for layer in layers:
        for parameter in layer.parameters:
            if not np.isfinite(parameter.value).all():
                yield Finding(
                    'weights_not_finite',
                    'error',
                    layer.index,
                    f'The {parameter.name} of {layer.where} hold NaN or infinite numbers.',
                    'Build the network again, or load weights from before training diverged.',
                )
    if not network.trainable_parameters:
        frozen = 'All layers with weights are frozen' if layers else 'No layer has weights'
        advice = (
            'Set layer.trainable = True where they should learn.' if layers else 'Add Dense or Convolutional layers.'
        )
        yield Finding('nothing_learns', 'error', None, f'{frozen}: training changes nothing.', advice)
        return
    frozen = [layer for layer in layers if layer.frozen]
    if frozen:
        names = ', '.join(layer.where for layer in frozen)
        yield Finding(
            'frozen',
            'note',
            frozen[0].index,
            f'Frozen layers, which training does not change: {names}.',
            'If this is not intended: layer.trainable = True.',
        )
    weighted = [layer for layer in layers if isinstance(layer, WEIGHTED)]
    if weighted and not any(p.trainable for layer in weighted if layer.trainable for p in layer.parameters[:1]):
        yield Finding(
            'only_biases_learn',
            'warning',
            None,
            'Only biases and batch normalization learn, no weights do.',
            "Set the weights' Parameter.trainable = True.",
        )
    yield from _symmetric(weighted)


def _symmetric(weighted):
    for layer in weighted[:-1]:
        weights, (bias, _) = layer.weights.reshape(-1, layer.weights.shape[-1]), layer.bias_arrays()
        if len(bias) > 1 and (weights == weights[:, :1]).all() and (bias == bias[0]).all():
            what = f'All weights of {layer.where} are {weights[0, 0]:g}'
            if (weights != weights[0, 0]).any():
                what = f'All units of {layer.where} have the same weights'
            yield Finding(
                'weights_equal',
                'error',
                layer.index,
                f'{what}: its {len(bias)} units get equal gradients and stay equal, like one unit.',
                "Initialize them at random: kernel_initializer='he_normal', which is the default.",
            )


def _neighbours(layers, between):
    """Yield all pairs of layers that have only layers of the given classes between them."""
    rest = [layer for layer in layers if not isinstance(layer, between)]
    yield from pairwise(rest)
