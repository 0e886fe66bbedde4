"""A network while it is made from a file: steps that are not layers of a network yet, and values that they give.

The other library has its axes in an order of its own, channels first. A value knows in which order cnnx has them, so
that moving axes costs nothing until a layer needs them in one order.
"""

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from cnnx.layers import Flatten, Layer, Permute, Reshape

# Of a sample, between two layers: a few bytes of a file can ask for any size.
MOST_NUMBERS = 2**26


class Value(NamedTuple):
    """What a step gives, or the input.

    Attributes:
        place: of the step; -1 for the input.
        shape: of one sample, as the file has it.
        axes: which axis of the file each axis of cnnx is. Axes of size 1 may be missing.
        flat: of flattened images: their shape and axes before; None where the order is that of the file.
        channels: the axis of the file that has the channels.
    """

    place: int
    shape: tuple
    axes: tuple
    flat: tuple | None = None
    channels: int = 0

    @property
    def sizes(self):
        """The shape of one sample in cnnx."""
        return tuple(self.shape[axis] for axis in self.axes)

    @property
    def order(self):
        """Of a row: number i of cnnx is number order[i] of the file."""
        if self.flat is None:
            return np.arange(math.prod(self.shape))
        shape, axes = self.flat
        missing = [axis for axis in range(len(shape)) if axis not in axes]
        return np.arange(math.prod(shape)).reshape(shape).transpose(*axes, *missing).reshape(-1)


@dataclass
class Step:
    """A layer to be, the values of its parameters by name, and the places that it reads."""

    layer: Layer
    reads: tuple
    arrays: dict = field(default_factory=dict)


class Draft:
    """The steps so far, in an order in which each comes after those that it reads.

    Args:
        input_shape: of one sample of cnnx.
    """

    def __init__(self, input_shape):
        self.input_shape = tuple(input_shape)
        self.steps = []
        self.shapes = {-1: self.input_shape}

    def add(self, layer, *places, **arrays):
        """Add a step that reads some places; return its own place, or, of one that is not needed, what it reads.

        Raises:
            ValueError: the layer cannot take the shapes, or gives more numbers than are allowed.
        """
        shapes = [self.shapes[place] for place in places]
        shape = layer.output_shape(tuple(shapes) if layer.merges else shapes[0])
        if math.prod(shape) > MOST_NUMBERS:
            raise ValueError(f'expected at most {MOST_NUMBERS:,} numbers in a sample, got shape {shape}')
        if type(layer) is Reshape:  # of several, the last one counts
            while places[0] >= 0 and type(self.steps[places[0]].layer) is Reshape:
                places = self.steps[places[0]].reads
            if self.shapes[places[0]] == shape:
                return places[0]
        self.steps.append(Step(layer, places, arrays))
        self.shapes[len(self.steps) - 1] = shape
        return len(self.steps) - 1

    def apply(self, layer, value, **arrays):
        """Add a layer that keeps the shape of a value; return what it gives."""
        return value._replace(place=self.add(layer, value.place, **arrays))

    def arrange(self, value, axes):
        """Return a value whose axes in cnnx are these of the file, by layers that move them where needed."""
        value = self.unflatten(value)
        if value.axes == tuple(axes):
            return value
        kept = [axis for axis in value.axes if value.shape[axis] > 1]
        place, sizes = value.place, tuple(value.shape[axis] for axis in axes)
        if kept != [axis for axis in axes if value.shape[axis] > 1]:
            wanted = [axis for axis in axes if axis in value.axes]
            wanted += [axis for axis in value.axes if axis not in wanted]
            place = self.add(Permute([value.axes.index(axis) for axis in wanted]), place)
        if self.shapes[place] != sizes:
            place = self.add(Reshape(sizes), place)
        return value._replace(place=place, axes=tuple(axes))

    def unflatten(self, value):
        """Return a row whose numbers are in the order of the file."""
        if value.flat is None:
            return value
        shape, axes = value.flat
        step, place = self.steps[value.place], value.place
        if type(step.layer) is Flatten:  # nothing came after it
            place = step.reads[0]
        else:
            place = self.add(Reshape([shape[axis] for axis in axes]), place)
        place = self.add(Permute([int(i) for i in np.argsort(axes)]), place)
        return value._replace(place=self.add(Flatten(), place), flat=None)

    def last(self, value, axis):
        """Return a value which has an axis of the file as its last axis in cnnx."""
        if value.axes and value.axes[-1] == axis:
            return value
        return self.arrange(value, [*(other for other in value.axes if other != axis), axis])

    def reshape(self, value, shape):
        """Return a value with the numbers of another, in the order of the file, in another shape of the file."""
        shape = tuple(shape)
        if math.prod(shape) != math.prod(value.shape):
            raise ValueError(f'{shape} does not fit the numbers of {value.shape}')
        if shape == value.shape:
            return value
        channels = 0 if len(shape) == 3 else len(shape) - 1
        if value.channels == len(value.shape) - 1 and value.shape[-1] == shape[-1]:
            channels = len(shape) - 1
        before, after = ([a for a in range(len(s)) if s[a] > 1] for s in (value.shape, shape))
        if value.flat is None and [value.shape[a] for a in before] == [shape[a] for a in after]:
            places = dict(zip(before, after, strict=True))
            axes = tuple(places[axis] for axis in value.axes if axis in places)
            channels = places.get(value.channels, channels)
            renamed = Value(value.place, shape, axes or (len(shape) - 1,), None, channels)
            if renamed.sizes != self.shapes[value.place]:
                layer = Flatten() if len(renamed.sizes) == 1 else Reshape(renamed.sizes)
                renamed = renamed._replace(place=self.add(layer, value.place))
            return renamed
        if len(shape) == 1:
            flat = None if list(value.axes) == sorted(value.axes) else (value.shape, value.axes)
            return Value(self.add(Flatten(), value.place), shape, (0,), flat)
        value = self.unflatten(value)
        value = self.arrange(value, sorted(value.axes))
        return Value(self.add(Reshape(shape), value.place), shape, tuple(range(len(shape))), None, channels)

    def build(self, network_class, output, dtype):
        """Return the network whose output is that of a step.

        Args:
            network_class: `cnnx.Network`, or a subclass.
            output: the place of the step.
            dtype: of the network.
        """
        needed, waiting = set(), [output]
        while waiting:
            place = waiting.pop()
            if place >= 0 and place not in needed:
                needed.add(place)
                waiting += self.steps[place].reads
        network = network_class(dtype=dtype)
        places = {-1: -1, **{place: i for i, place in enumerate(sorted(needed))}}
        for place in sorted(needed):
            step = self.steps[place]
            if not network.layers:
                shape = (self.input_shape,) * len(step.reads) if step.layer.merges else self.input_shape
                step.layer.input_shape = step.layer.checked_input_shape(shape)
            reads = tuple(places[read] for read in step.reads)
            network.add(step.layer, weights=_taken_from(step), reads=reads)
        return network


def _taken_from(step):
    """Return the function of name and shape that gives a step's arrays to `Network.add`."""

    def weights(name, shape):
        array = step.arrays.get(name)
        if array is None or array.shape != shape:
            found = 'none' if array is None else array.shape
            raise ValueError(f'{type(step.layer).__name__}: expected {name} of shape {shape}, got {found}')
        return np.asarray(array, np.float64) if array.dtype.kind != 'f' else array

    return weights
