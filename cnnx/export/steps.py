"""A network as steps of inference: layers that act in training only are left out, neighbours that fit are one step.

A value is named by the place of the layer that gives it; -1 is the network's input. Flatten, Reshape and Dropout make
no step: their value is stored where the one that they read is.
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from cnnx import layers as kinds
from cnnx._util.windows import Window

INPUT = -1
ACTIVATIONS = {
    kinds.ReLU: 'relu',
    kinds.LeakyReLU: 'leaky_relu',
    kinds.Sigmoid: 'sigmoid',
    kinds.Tanh: 'tanh',
    kinds.ELU: 'elu',
    kinds.Softplus: 'softplus',
    kinds.SiLU: 'silu',
    kinds.GELU: 'gelu',
    kinds.SELU: 'selu',
    kinds.HardSigmoid: 'hard_sigmoid',
    kinds.HardSwish: 'hard_swish',
}
UP_TO = 'relu_up_to'  # a ReLU with a largest value
PARAMETERS = {
    kinds.LeakyReLU: ('negative_slope',),
    kinds.ELU: ('alpha',),
    kinds.SELU: ('alpha', 'scale'),
    kinds.HardSigmoid: ('alpha', 'beta'),
}
# Of these, the largest of several outputs is the output of the largest.
RISING = {'relu', UP_TO, 'leaky_relu', 'sigmoid', 'tanh', 'elu', 'softplus', 'selu', 'hard_sigmoid'}
MAXIMA = (kinds.MaxPooling, kinds.MaxPooling1D, kinds.GlobalMaxPooling)
POOLINGS = (*MAXIMA, kinds.AveragePooling, kinds.AveragePooling1D, kinds.GlobalAveragePooling)
PRODUCTS = (kinds.Convolutional, kinds.Convolutional1D, kinds.TransposedConvolutional, kinds.Dense)
SCALINGS = (kinds.BatchNormalization, kinds.Rescaling)
UNCHANGED = (kinds.Flatten, kinds.Reshape, kinds.Dropout)
HEADS = (kinds.Softmax, kinds.LogSoftmax, kinds.Sigmoid)  # what turns logits into probabilities, or their logarithms


class Activation(NamedTuple):
    """A function of each number, and of parameters."""

    name: str
    parameters: tuple = ()


class Pooling(NamedTuple):
    """A pooling of an image (height, width) to positions (P, Q).

    A mean is the total of a window, divided by rows times columns that count: `counts` has those of each position, for
    rows and for columns.
    """

    is_maximum: bool
    window: Window
    image: tuple
    positions: tuple
    counts: tuple = ()

    def uneven_counts(self):
        """Return the counts along an axis where they differ, by 'rows' and 'columns'."""
        names = zip(('rows', 'columns'), self.counts, strict=False)
        return {name: np.array(counts) for name, counts in names if len(set(counts)) > 1}


@dataclass
class Step:
    """What some layers compute, as one.

    Attributes:
        layers: that it computes, in order.
        reads: the values that it reads.
        value: that it gives.
        input_shapes: of the values that it reads.
        shape: of the value that it gives.
    """

    layers: list
    reads: tuple
    value: int
    input_shapes: tuple
    shape: tuple


@dataclass
class Product(Step):
    """Weighted sums: of a dense layer, a convolution or a transposed one; then an activation, then a pooling.

    Attributes:
        image: (H, W, C) that it reads; a dense layer reads one of 1 x 1 pixels.
        positions: (P, Q) of the sums, before the pooling.
        weights: (R, S, C / groups, F) in float64, also of a transposed convolution.
        bias: (F,) in float64.
        window, groups, transposed: how the filters slide.
        activation: an `Activation`, or None.
        pooling: a `Pooling`, or None; its windows do not overlap.
        sums: the value that the sums are, before the activation.
        activated: the value before the pooling.
    """

    image: tuple
    positions: tuple
    weights: Any
    bias: Any
    window: Window
    groups: int = 1
    transposed: bool = False
    activation: Any = None
    pooling: Any = None
    sums: int = 0
    activated: int = 0


@dataclass
class Pool(Step):
    pooling: Pooling


@dataclass
class Map(Step):
    """An activation by itself."""

    activation: Activation


@dataclass
class Slopes(Step):
    """PReLU: numbers below 0 times the slope of their channel."""

    slopes: Any


@dataclass
class Softmax(Step):
    """Softmax, or its logarithm."""

    logarithm: bool


@dataclass
class Normalize(Step):
    """Mean 0 and variance 1 within `parts` parts of a sample, each of (positions, groups, channels of a group)."""

    parts: int
    positions: int
    groups: int
    gamma: Any
    beta: Any
    epsilon: float


@dataclass
class Merge(Step):
    """Add or Multiply."""

    adds: bool


@dataclass
class Join(Step):
    """Concatenate: `rows` rows, each made of a row of each value, of `widths` numbers."""

    rows: int
    widths: tuple


@dataclass
class Order(Step):
    """Permute: axes in another order."""

    axes: tuple


@dataclass
class Frame(Step):
    """Pad or crop: pixel (0, 0) of the input is at (top, left) of the output, which may be outside."""

    top: int
    left: int


@dataclass
class Enlarge(Step):
    """UpSampling by whole factors."""

    size: tuple
    bilinear: bool


@dataclass
class Copy(Step):
    """The network's input as its output, of a network whose layers change nothing."""


def steps_of(network, apart=()):
    """Return the steps of a network's inference.

    Args:
        network: a `cnnx.Network`.
        apart: kinds of the last layer that stay a step of their own.

    Raises:
        ValueError: the network has no layers, a layer is of a kind that is not known here, or a weight is not finite.
    """
    network.plan  # noqa: B018  checks that there are layers, and that all are read
    return _Lowering(network, apart).steps


class _Lowering:
    def __init__(self, network, apart):
        self.layers, self.reads = network.layers, network.reads
        self.apart = len(self.layers) - 1 if type(self.layers[-1]) in apart else None
        self.readers = [[i for i, reads in enumerate(self.reads) for place in reads if place == j] for j in self._all()]
        self.stored = {INPUT: INPUT}  # value: the value in whose place it is stored
        self.steps = []
        done = set()
        for i in self._all():
            if i not in done:
                done.update(self._lower(i))
        last = self.stored[len(self.layers) - 1]
        if last == INPUT:
            shape = self.layers[-1].shape
            self.steps.append(Copy([], (INPUT,), len(self.layers) - 1, (shape,), shape))

    def _all(self):
        return range(len(self.layers))

    def _lower(self, i):
        """Add the step of layer i, and of layers after it that it can hold; return their places."""
        layer = self.layers[i]
        for parameter in layer.parameters:
            if not np.isfinite(parameter.value).all():
                raise ValueError(f'{layer.where}: expected finite {parameter.name}, got NaN or infinity among them')
        kind = type(layer)
        if kind in UNCHANGED:
            self.stored[i] = self.stored[self.reads[i][0]]
            return [i]
        places = [i]
        if kind in PRODUCTS or kind in SCALINGS:
            step = self._product(layer)
            places += self._absorb(step, i)
        else:
            step = self._other(layer)
        step.layers = [self.layers[place] for place in places]
        step.value, step.shape = places[-1], self.layers[places[-1]].shape
        for place in places:
            self.stored[place] = step.value
        self.steps.append(step)
        return places

    def _common(self, layer):
        shapes = layer.input_shape if layer.merges else (layer.input_shape,)
        return [layer], tuple(self.stored[place] for place in self.reads[layer.index]), layer.index, shapes, layer.shape

    def _product(self, layer):
        kind = type(layer)
        if kind in SCALINGS:
            scale, shift = _scale_and_shift(layer)
            channels = layer.shape[-1]
            image = as_image(layer.shape) if len(layer.shape) <= 3 else (1, math.prod(layer.shape[:-1]), channels)
            arrays = scale.reshape(1, 1, 1, channels), shift
            step = Product(*self._common(layer), image, image[:2], *arrays, Window(1, 1), groups=channels)
        else:
            weights = layer.parameters[0].value.astype(np.float64)
            bias = layer.parameters[1].value.astype(np.float64) if layer.use_bias else np.zeros(layer.shape[-1])
            image, positions = as_image(layer.input_shape), as_image(layer.shape)[:2]
            if kind is kinds.Dense:
                weights = weights.reshape(1, 1, *weights.shape)
            transposed = kind is kinds.TransposedConvolutional
            weights = weights.transpose(0, 1, 3, 2) if transposed else weights
            window = getattr(layer, 'window', Window(1, 1))
            groups = getattr(layer, 'groups', 1)
            step = Product(*self._common(layer), image, positions, weights, bias, window, groups, transposed)
        return step

    def _absorb(self, step, i):
        """Take scalings, an activation and a pooling after layer i into its step; return their places."""
        places = [i]
        step.sums = step.activated = i
        after = self._only_reader(places)
        while after is not None and type(self.layers[after]) in SCALINGS:
            scale, shift = _scale_and_shift(self.layers[after])
            step.weights, step.bias = step.weights * scale, step.bias * scale + shift
            step.sums = step.activated = after
            places.append(after)
            after = self._only_reader(places)
        if after is not None and type(self.layers[after]) in ACTIVATIONS:
            step.activation = _activation(self.layers[after])
            step.activated = after
            places.append(after)
            after = self._only_reader(places)
        if after is not None and type(self.layers[after]) in POOLINGS and step.positions != (1, 1):
            pooling = _pooling(self.layers[after])
            apart = all(stride >= extent(reads, dilation) for reads, stride, _, dilation in axes_of(pooling.window))
            if apart or pooling.positions == (1, 1):
                step.pooling = pooling
                places.append(after)
        return places[1:]

    def _only_reader(self, places):
        """Return the only layer that reads the last of `places`, Dropout skipped and added to them, or None."""
        while len(self.readers[places[-1]]) == 1:
            after = self.readers[places[-1]][0]
            if after == self.apart:
                return None
            if type(self.layers[after]) is not kinds.Dropout:
                return after
            places.append(after)
        return None

    def _other(self, layer):
        kind, common = type(layer), self._common(layer)
        if kind in POOLINGS:
            return Pool(*common, _pooling(layer))
        if kind in ACTIVATIONS:
            return Map(*common, _activation(layer))
        if kind is kinds.PReLU:
            return Slopes(*common, layer.parameters[0].value)
        if kind in (kinds.Softmax, kinds.LogSoftmax):
            return Softmax(*common, kind is kinds.LogSoftmax)
        if kind in (kinds.GroupNormalization, kinds.LayerNormalization):
            gamma, beta = (parameter.value for parameter in layer.parameters)
            positions = math.prod(layer.shape[:-1])
            sizes = (1, positions, layer.groups) if kind is kinds.GroupNormalization else (positions, 1, 1)
            return Normalize(*common, *sizes, gamma, beta, layer.epsilon)
        if kind in (kinds.Add, kinds.Multiply):
            return Merge(*common, kind is kinds.Add)
        if kind is kinds.Concatenate:
            axis = layer.axis % len(layer.shape)
            return Join(*common, math.prod(layer.shape[:axis]), tuple(math.prod(s[axis:]) for s in layer.input_shape))
        if kind is kinds.Permute:
            return Order(*common, layer.axes)
        if kind in (kinds.ZeroPadding, kinds.Cropping):
            sign, sides = (1, layer.padding) if kind is kinds.ZeroPadding else (-1, layer.cropping)
            return Frame(*common, sign * sides[0][0], sign * sides[1][0])
        if kind is kinds.UpSampling:
            return Enlarge(*common, layer.size, layer.interpolation == 'bilinear')
        raise ValueError(f'export: {layer.where} is of a kind that cannot be exported; expected layers of cnnx.layers')


def pools_sums(step):
    """Whether a product's maxima can be taken of the sums, before the activation."""
    return step.activation is None or step.activation.name in RISING


def as_image(shape):
    """Return a sample's shape as (H, W, C)."""
    return (*(1,) * (3 - len(shape)), *shape)


def axes_of(window):
    """Return (pixels read, stride, padding, dilation) of a window along rows and along columns."""
    return window[::2], window[1::2]


def extent(reads, dilation):
    """Return how many pixels lie between the first and the last that a window reads, these two among them."""
    return dilation * (reads - 1) + 1


def _activation(layer):
    kind = type(layer)
    if kind is kinds.ReLU and layer.max_value is not None:
        return Activation(UP_TO, (layer.max_value,))
    return Activation(ACTIVATIONS[kind], tuple(getattr(layer, name) for name in PARAMETERS.get(kind, ())))


def _pooling(layer):
    is_maximum, image = type(layer) in MAXIMA, as_image(layer.input_shape)[:2]
    if is_maximum:
        counts = ()
    elif type(layer) is kinds.GlobalAveragePooling:
        counts = tuple((size,) for size in image)
    else:
        counts = tuple(tuple(numbers.tolist()) for numbers in layer.counts(image, layer.count_include_pad))
    return Pooling(is_maximum, layer.window, image, as_image(layer.shape)[:2], counts)


def _scale_and_shift(layer):
    """Return the scale and the shift (C,) of a scaling."""
    if type(layer) is kinds.Rescaling:
        scale, shift = (np.asarray(numbers, np.float64) for numbers in (layer.scale, layer.offset))
        return np.broadcast_to(scale, layer.shape[-1:]), np.broadcast_to(shift, layer.shape[-1:])
    return layer.scale_and_shift()
