"""Layouts: how PyTorch and Keras name and arrange the arrays of each kind of layer, in both directions.

Sources: https://docs.pytorch.org/docs/stable/nn.html and https://keras.io/api/layers/, the shapes of weights.
"""

import math
from typing import NamedTuple

import numpy as np

from cnnx.layers import (
    Add,
    Concatenate,
    Convolutional1D,
    Dense,
    Flatten,
    Multiply,
    PReLU,
    Reshape,
    TransposedConvolutional,
)
from cnnx.layers.weighted import WeightedLayer

LAYOUTS = ('torch', 'keras')
NAMES = {
    'torch': {
        **{'weights': 'weight', 'gamma': 'weight', 'alpha': 'weight', 'bias': 'bias', 'beta': 'bias'},
        **{'running_mean': 'running_mean', 'running_variance': 'running_var'},
    },
    'keras': {
        **{'weights': 'kernel', 'gamma': 'gamma', 'alpha': 'alpha', 'bias': 'bias', 'beta': 'beta'},
        **{'running_mean': 'moving_mean', 'running_variance': 'moving_variance'},
    },
}


class Slot(NamedTuple):
    """A parameter of a layer as another library has it.

    Attributes:
        name: here.
        theirs: its name there.
        shape: its shape there.
        pack, unpack: functions that make their array of ours, and ours of theirs.
        also: another shape that it may have there, with the numbers in the same order.
    """

    name: str
    theirs: str
    shape: tuple
    pack: object
    unpack: object
    also: tuple

    def fits(self, array):
        """Whether an array has the shape, or, of numbers by channel, as many numbers along one axis."""
        by_channel = self.name != 'weights'
        return array.shape in (self.shape, self.also) or (by_channel and _not_1(array.shape) == _not_1(self.shape))

    def ours(self, array):
        """Return our array of theirs, which fits."""
        return self.unpack(array.reshape(self.shape))


def slots(layer, layout, order=None):
    """Return the `Slot` of each parameter of a layer.

    Args:
        layer: of a network.
        layout: 'torch' or 'keras'.
        order: of its input, as `orders` has it, or None.
    """
    found = []
    for parameter in layer.parameters:
        pack, unpack = _functions(layer, parameter, layout, order)
        shape = pack(np.broadcast_to(np.float32(0), parameter.value.shape)).shape
        theirs = NAMES[layout].get(parameter.name, parameter.name)
        # A Conv2D of Keras with as many groups as channels has the shape that it has here.
        also = parameter.value.shape if layout == 'keras' and len(shape) == 4 else shape
        found.append(Slot(parameter.name, theirs, shape, pack, unpack, also))
    return found


def _not_1(shape):
    return [size for size in shape if size != 1]


def _functions(layer, parameter, layout, order):
    """Return functions that make their array of ours, and ours of theirs."""
    shape = parameter.value.shape
    if layout == 'keras' and isinstance(layer, PReLU):
        axes = (1,) * (len(layer.input_shape) - 1)
        return lambda array: array.reshape(*axes, -1), lambda array: array.reshape(shape)
    if parameter.name != 'weights' or not isinstance(layer, WeightedLayer):
        if order is None or layout == 'keras' or isinstance(layer, Dense) or shape != order.shape:
            return _same, _same
        return lambda array: array[np.argsort(order)], lambda array: array[order]
    if isinstance(layer, Dense):
        if layout == 'keras':
            return _same, _same
        rows = np.arange(shape[0]) if order is None else order
        return lambda array: array[np.argsort(rows)].T, lambda array: array.T[rows]
    if layout == 'torch':
        theirs = (shape[3], shape[2], *shape[:2])
        kept = theirs[:2] + theirs[3:] if isinstance(layer, Convolutional1D) else theirs
        return (
            lambda array: array.transpose(3, 2, 0, 1).reshape(kept),
            lambda array: array.reshape(theirs).transpose(2, 3, 1, 0),
        )
    if isinstance(layer, Convolutional1D):
        return lambda array: array[0], lambda array: array[np.newaxis]
    if not isinstance(layer, TransposedConvolutional) and layer.is_depthwise:
        theirs = (*shape[:2], layer.groups, shape[3] // layer.groups)
        return lambda array: array.reshape(theirs), lambda array: array.reshape(shape)
    return _same, _same


def _same(array):
    return array


def orders(network):
    """Return, by place, in which order the numbers of flattened images come: number i is number order[i] of PyTorch.

    PyTorch has the channels first. Places where the order is the same are left out.
    """
    found = {}
    for layer, reads in zip(network.layers, network.reads, strict=True):
        order = _order(layer, [found.get(place) for place in reads])
        if order is not None:
            found[layer.index] = order
    return found


def _order(layer, orders):
    """Return the order of what a layer gives, from those of what it reads, or None."""
    if layer.shape is None or len(layer.shape) != 1:
        return None
    if isinstance(layer, (Flatten, Reshape)) and len(layer.input_shape) > 1:
        *sizes, channels = layer.input_shape
        order = np.arange(math.prod(layer.input_shape)).reshape(channels, *sizes)
        return np.moveaxis(order, 0, -1).reshape(-1)
    if all(order is None for order in orders) or isinstance(layer, Dense):
        return None
    if isinstance(layer, Concatenate):
        sizes = [shape[0] for shape in layer.input_shape]
        firsts = np.cumsum([0, *sizes[:-1]])
        parts = [np.arange(size) if order is None else order for size, order in zip(sizes, orders, strict=True)]
        return np.concatenate([first + part for first, part in zip(firsts, parts, strict=True)])
    if isinstance(layer, (Add, Multiply)) or layer.shape == layer.input_shape:
        return orders[0]
    return None
