"""Wiring: Input, and the values that layers called on it return; a network with branches is made from them."""

import itertools

from cnnx._util.validation import is_whole
from cnnx._util.windows import shape_of_sample

_calls = itertools.count()


class Value:
    """What goes into a network or comes out of a layer, before there are numbers.

    Attributes:
        shape: of one sample, without the batch axis.
        layer: that gives it; None for the input of a network.
        reads: the values that the layer reads.
    """

    def __init__(self, shape, layer=None, reads=()):
        self.shape = shape
        self.layer = layer
        self.reads = reads
        self.place = next(_calls)  # in the order of the calls

    def __repr__(self):
        return f'{type(self.layer).__name__ if self.layer else "Input"}: {self.shape}'


def Input(shape):  # noqa: N802
    """Return the input of a network: call layers on it, and on what they return, and give both ends to `Network`.

    Args:
        shape: of one sample, without the batch axis, such as (28, 28, 1).

    Raises:
        ValueError: it is no shape.
    """
    return Value(shape_of_sample(shape, 'Input'))


def holds_values(x):
    """Whether x is a value, or a list of values, in place of arrays."""
    return isinstance(x, Value) or (isinstance(x, (list, tuple)) and any(isinstance(each, Value) for each in x))


def connect(layer, x):
    """Return the value that a layer gives for a value, or, if it merges, for a list of values.

    Raises:
        TypeError: the layer merges and gets no list, or the other way round.
        ValueError: the layer has been called before, or cannot take the shapes.
    """
    kind = type(layer).__name__
    if layer.merges != (isinstance(x, (list, tuple)) and len(x) > 1):
        wanted = 'a list of at least two values' if layer.merges else f'one value, such as {kind}(...)(x)'
        raise TypeError(f'{kind}: expected {wanted}, got {x!r}')
    reads = tuple(x) if layer.merges else (x,)
    if not all(isinstance(value, Value) for value in reads):
        raise TypeError(f'{kind}: expected values, all of them, got {x!r}')
    if layer.called or layer.index is not None:
        raise ValueError(f'{kind}: this layer has been called, or is in a network, already; make another one')
    shape = tuple(value.shape for value in reads) if layer.merges else x.shape
    if layer.input_shape not in (None, shape):
        raise ValueError(f'{kind}: expected input {layer.input_shape}, got {shape}')
    try:
        output_shape = shape_of_sample(layer.output_shape(shape), f'{kind}.output_shape')
    except ValueError as error:
        raise ValueError(f'{kind}: {error}') from None
    layer.input_shape, layer.called = shape, True
    return Value(output_shape, layer, reads)


def layers_between(inputs, outputs):
    """Return the layers that lead to a value, in the order of their calls, and the places that each of them reads.

    A place is that of a layer in this order; -1 is that of the input.

    Raises:
        TypeError: these are no values.
        ValueError: outputs depend on another input, or a layer is in a network already.
    """
    if not isinstance(inputs, Value) or not isinstance(outputs, Value):
        raise TypeError(
            f'Network: expected inputs=Input(shape) and outputs=what a layer gave, got {inputs!r} and {outputs!r}'
        )
    found, waiting = {}, [outputs]
    while waiting:
        value = waiting.pop()
        if value.place not in found:
            found[value.place] = value
            waiting += value.reads if value is not inputs else ()
    found.pop(inputs.place, None)
    values = [found[place] for place in sorted(found)]
    for value in values:
        if value.layer is None:
            raise ValueError(f'Network: outputs depend on another Input, {value.shape}, than inputs, {inputs.shape}')
    if not values or not any(inputs is read for value in values for read in value.reads):
        raise ValueError(f'Network: outputs do not depend on inputs, {inputs!r}')
    for value in values:
        if value.layer.index is not None:
            raise ValueError(f'Network: {value.layer.where} is in a network already; make another one')
    places = {inputs.place: -1, **{value.place: i for i, value in enumerate(values)}}
    return [value.layer for value in values], [tuple(places[read.place] for read in value.reads) for value in values]


def check_reads(reads, count):
    """Return the places that layer `count` of a network reads, checked: some before it, -1 being the input.

    Raises:
        ValueError: they are not.
    """
    if not reads or not all(is_whole(place) and -1 <= place < count for place in reads):
        raise ValueError(f'reads: expected places of layers before layer {count}, -1 being the input, got {reads!r}')
    return tuple(reads)
