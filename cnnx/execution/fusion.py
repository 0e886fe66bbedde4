"""Fusion: which neighbouring layers run as one block, and in which order."""

import math
from collections import Counter
from typing import NamedTuple

from cnnx import layers as kinds
from cnnx.execution import graph
from cnnx.losses import BinaryCrossEntropy, CategoricalCrossEntropy, KLDivergence

# They do not decrease: the largest number stays the largest.
ACTIVATIONS = (kinds.ReLU, kinds.LeakyReLU, kinds.Sigmoid, kinds.Tanh)
# Each number of y comes from the same one of x.
ELEMENTWISE = (*ACTIVATIONS, kinds.Dropout, kinds.BatchNormalization)
IN_BLOCKS = {
    *(kinds.Convolutional, kinds.TransposedConvolutional, kinds.Dense, *ELEMENTWISE),
    *(kinds.MaxPooling, kinds.AveragePooling, kinds.GlobalAveragePooling, kinds.UpSampling),
    *(kinds.Flatten, kinds.Add, kinds.Concatenate),
}
# What a block's backward pass needs of its y.
NOTHING, SIGNS, VALUES = range(3)
# A number that only passes through a block costs as much as so many multiply-adds.
PASSING = 8


class Fusion(NamedTuple):
    """Layers that run as one block: a main one, such as a convolution, and those that run with it.

    A weighted layer may have ReLU and max-pooling with it. A Flatten moves nothing, and a Softmax stands for what the
    loss or the softmax of a program reads: where one of them is the layer itself, there is no block.

    Attributes:
        layers: in the network's order.
        layer: the main one, which decides the kind of block.
        pooling: of a convolution, or None.
        relu: of a weighted layer.
        shape: of one output sample.
        algorithm: of a convolution, 'direct' or 'winograd'.
    """

    layers: tuple
    layer: kinds.Layer
    pooling: kinds.MaxPooling | None
    relu: bool
    shape: tuple
    algorithm: str

    @property
    def work(self):
        """What a sample's forward pass costs, in multiply-adds."""
        passed = self.shape if self.layer.merges else self.layer.input_shape
        return self.layer.multiply_adds or PASSING * math.prod(passed)

    @property
    def needs(self):
        """What the backward pass needs of y."""
        if isinstance(self.layer, (kinds.Sigmoid, kinds.Tanh)):
            return VALUES
        # A convolution's block keeps which numbers ReLU made zero after pooling.
        signs = isinstance(self.layer, (kinds.ReLU, kinds.LeakyReLU)) or (self.relu and not self.pooling)
        return SIGNS if signs else NOTHING

    @property
    def name(self):
        """Which layers these are: '0-2 Convolutional, ReLU, MaxPooling'."""
        places = [layer.index for layer in self.layers]
        first, last = places[0], places[-1]
        numbers = ', '.join(map(str, places))
        if len(places) > 1 and last - first == len(places) - 1:
            numbers = f'{first}-{last}'
        kinds = ', '.join(type(layer).__name__ for layer in self.layers)
        return f'{numbers} {kinds}{" (Winograd)" if self.algorithm == "winograd" else ""}'


def fuse(layers, apart=()):
    """Return layers in the order in which they run, those that run as one block as a `Fusion`.

    A max-pooling comes before the activations that it stands after, which then have fewer numbers to go over. A
    Flatten belongs to the fusion before it, if there is one.

    Args:
        layers: neighbours in a network.
        apart: those that are to run alone.
    """
    layers = _poolings_first(layers)
    parts, position, shape = [], 0, layers[0].input_shape if layers else None
    while position < len(layers):
        layer = layers[position]
        alone = type(layer) not in IN_BLOCKS or layer in apart or not _is_plain(layer)
        members, algorithm = ([layer], None) if alone else _members(layers[position:])
        for member in members:
            shape = shape if isinstance(member, ELEMENTWISE) else member.shape
        if not alone:
            found = {type(member): member for member in members[1:]}
            ordered = tuple(sorted(members, key=lambda member: member.index))
            layer = Fusion(ordered, layer, found.get(kinds.MaxPooling), kinds.ReLU in found, shape, algorithm)
        parts.append(layer)
        position += len(members)
    return parts


def fuse_graph(layers, reads, apart=()):
    """Return what `fuse` makes of each chain of a graph, and which of these parts read which, as `reads` says it."""
    parts, part_reads, ends = [], [], {-1: -1}
    for chain in graph.chains(reads):
        places = tuple(ends[place] for place in reads[chain[0]])
        for part in fuse([layers[i] for i in chain], apart):
            part_reads.append(places)
            places = (len(parts),)
            parts.append(part)
        ends[chain[-1]] = len(parts) - 1
    return parts, part_reads


def _is_plain(layer):
    """Whether blocks compute the layer with the settings that it has."""
    return getattr(layer, 'is_plain', True)


def passing(softmax):
    """Return a fusion that passes on what a Softmax reads, for a program that computes the softmax at its end."""
    return Fusion((softmax,), softmax, None, False, softmax.shape, 'direct')


def _poolings_first(layers):
    """Return the layers, each max-pooling before the activations that it follows."""
    ordered = []
    for layer in layers:
        place = len(ordered)
        while type(layer) is kinds.MaxPooling and _is_plain(layer) and place > 0 and _passes(ordered[place - 1]):
            place -= 1
        ordered.insert(place, layer)
    return ordered


def _passes(layer):
    """Whether a max-pooling may come before the layer instead of after it."""
    return type(layer) in ACTIVATIONS and _is_plain(layer)


def _members(layers):
    """Return the first layer and those after it that run in one block with it, and the algorithm of a convolution.

    A convolution's block knows no max-pooling whose windows reach over the edges of the image, and none at all where
    it computes by Winograd's method. A depthwise one's knows nothing else.
    """
    first, *others = layers
    allowed = {kinds.Convolutional: {kinds.ReLU, kinds.MaxPooling}, kinds.Dense: {kinds.ReLU}}.get(type(first), set())
    algorithm = 'direct'
    if type(first) is kinds.Convolutional:
        algorithm = first.fast_algorithm(pooled=bool(others) and type(others[0]) is kinds.MaxPooling)
        if first.is_depthwise:
            allowed = set()
        elif algorithm == 'winograd':
            allowed = {kinds.ReLU}
    members = [first]
    for layer in others:
        if type(layer) is kinds.Flatten:
            allowed = allowed & {kinds.ReLU}
        elif type(layer) not in allowed or not _is_plain(layer) or (type(layer) is kinds.MaxPooling and layer.pads):
            break
        allowed = allowed - {type(layer)}
        members.append(layer)
    return members, algorithm


def in_place(fusions, reads, first):
    """Return which fusions write over what they read; the backward pass goes through those from `first` on.

    They may where nothing else reads it, and nothing is lost that the backward pass of the fusion before them needs.
    Dropout may write over numbers whose signs are needed: a number that it drops has no gradient, whatever its sign
    was. The backward pass of a BatchNormalization needs what it was given. An Add writes over the first of what it
    reads.

    Args:
        fusions: in order.
        reads: which of them read which (`cnnx.execution.graph`).
        first: the first that the backward pass goes through.
    """
    readers = Counter(place for places in reads for place in places)
    found, kept = [], {}
    for i, fusion in enumerate(fusions):
        x = reads[i][0]
        least = {kinds.Dropout: SIGNS, kinds.Flatten: VALUES, kinds.Softmax: VALUES}.get(type(fusion.layer), NOTHING)
        keeps = isinstance(fusion.layer, kinds.BatchNormalization) and i >= first
        writes_over = isinstance(fusion.layer, (*ELEMENTWISE, kinds.Flatten, kinds.Softmax, kinds.Add)) and not keeps
        found.append(writes_over and readers[x] == 1 and kept.get(x, NOTHING) <= least)
        kept[i] = max(kept.get(x, NOTHING) if found[-1] else NOTHING, fusion.needs if i >= first else NOTHING)
    return found


def fuses_loss(layers, loss):
    """Whether the loss is computed from the last layer's input: softmax and cross-entropy as one step."""
    last = kinds.Sigmoid if type(loss) is BinaryCrossEntropy else kinds.Softmax
    known = type(loss) in (BinaryCrossEntropy, CategoricalCrossEntropy, KLDivergence)
    return known and type(layers[-1]) is last and not getattr(loss, 'from_logits', False)


def describe_fusions(layers, reads, loss):
    """Return lines that say which layers run as one."""
    fusions = [part for part in fuse_graph(layers, reads)[0] if isinstance(part, Fusion)]
    lines = [f'layers {fusion.name} run as one block' for fusion in fusions if len(fusion.layers) > 1]
    alone = [fusion for fusion in fusions if len(fusion.layers) == 1 and fusion.algorithm == 'winograd']
    if alone:
        lines.append(f"layers {', '.join(str(fusion.layer.index) for fusion in alone)} run by Winograd's method")
    if layers and fuses_loss(layers, loss):
        lines.append(f'{layers[-1].where} and {type(loss).__name__} train as one step')
    return lines
