"""Folding: a copy of a network's layers for inference alone, with batch normalization inside the weights before it."""

import copy
from collections import Counter

import numpy as np

from cnnx import kernels
from cnnx.execution import graph
from cnnx.layers import BatchNormalization, Convolutional, Convolutional1D, Dense, TransposedConvolutional
from cnnx.layers.parameter import Parameter

# The axis of the weights that runs over the channels of the output.
OUTPUT_AXIS = {Convolutional: -1, Convolutional1D: -1, Dense: -1, TransposedConvolutional: -2}


def for_inference(layers, reads):
    """Return copies of layers that predict the same, and which of them read which; their weights are copies too.

    Layers that do nothing in inference are left out. So is a batch normalization that alone reads a convolution, or a
    dense layer, before it: y = gamma (W x + b - mean) / sqrt(variance + epsilon) + beta is s W x + s (b - mean) + beta,
    with s = gamma / sqrt(variance + epsilon), and so a layer of other weights (Jacob et al., "Quantization and
    training of neural networks for efficient integer-arithmetic-only inference", 2018, section 3.2).

    Args:
        layers, reads: the network's.
    """
    idle, reads = graph.without(reads, [layer.index for layer in layers if layer.only_in_training])
    layers = with_own_weights([layers[i] for i in idle])
    folded, readers = [], Counter(place for places in reads for place in places)
    for i, places in enumerate(reads):
        # A layer before it that is folded itself stands for the one that it is folded into.
        before = places[0]
        while before in folded:
            before = reads[before][0]
        weighted = before >= 0 and type(layers[before]) in OUTPUT_AXIS
        if weighted and type(layers[i]) is BatchNormalization and readers[before] == readers[places[0]] == 1:
            _fold(layers[before], layers[i])
            folded.append(i)
    kept, reads = graph.without(reads, folded)
    layers = [layers[i] for i in kept]
    for i, layer in enumerate(layers):
        layer.index = i
    return layers, reads


def with_own_weights(layers):
    """Return copies of layers that share nothing, with frozen parameters of the same values."""
    values = {p: Parameter(p.name, p.value, trainable=False) for layer in layers for p in layer.parameters}
    return copies(layers, values)


def copies(layers, parameters=None):
    """Return copies of layers that share nothing but their parameters.

    Args:
        layers: a list.
        parameters: what stands for each parameter in the copies, by parameter; by default itself.
    """
    memo = {}
    for layer in layers:
        for parameter in layer.parameters:
            memo[id(parameter)] = parameter if parameters is None else parameters[parameter]
    return copy.deepcopy(layers, memo)


@kernels.QUIET
def _fold(layer, normalization):
    """Change the weights and bias of a layer so that it does what a batch normalization after it did."""
    scale, shift = normalization.scale_and_shift()
    if not layer.use_bias:
        layer.use_bias = True
        layer.parameters.append(Parameter('bias', np.zeros(len(scale), layer.dtype), trainable=False))
    last = OUTPUT_AXIS[type(layer)] == -1
    layer.weights = layer.weights * (scale if last else scale[:, np.newaxis])
    layer.bias = layer.bias * scale + shift
