"""What functions of operators get: a node with what it reads, and checks that all of them share.

Source: https://onnx.ai/onnx/operators/.
"""

from typing import NamedTuple

import numpy as np

from cnnx.importing.draft import Draft, Value
from cnnx.importing.onnx_file import Node


class Call(NamedTuple):
    """A node with what it reads: values, arrays, and None for what is left out.

    `batch` is the size of the batch where the file fixes it, or None.
    """

    draft: Draft
    node: Node
    inputs: list
    opset: int
    batch: int | None

    def attribute(self, name, default=None):
        return self.node.attributes.get(name, default)

    def value(self, place=0):
        """Return an input that has to depend on the network's input."""
        value = self.inputs[place] if place < len(self.inputs) else None
        if not isinstance(value, Value):
            raise ValueError(f'input {place}: expected what depends on the input of the network, got a constant')
        return value

    def array(self, place, name):
        """Return an input that has to be a constant; None where it is left out."""
        array = self.inputs[place] if place < len(self.inputs) else None
        if isinstance(array, Value):
            raise ValueError(f'{name}: expected a constant, got what depends on the input of the network')
        return array

    def needed(self, place, name):
        array = self.array(place, name)
        if array is None:
            raise ValueError(f'{name}: expected a constant, got none')
        return array

    def numbers(self, place, name):
        """Return the whole numbers of a constant as a list; None where it is left out."""
        array = self.array(place, name)
        return None if array is None else [int(number) for number in np.asarray(array).reshape(-1)]


def refuse(condition, message):
    if condition:
        raise ValueError(message)


def with_constant(call, value, array):
    """Return a value, and a constant as a number, or as numbers along the value's last axis in cnnx."""
    array, rank = np.asarray(array), len(value.shape)
    full = (1,) * (rank + 1 - array.ndim) + array.shape
    axes = [axis for axis, size in enumerate(full) if size != 1]
    fits = len(full) == rank + 1 and all(axis > 0 and full[axis] == value.shape[axis - 1] for axis in axes)
    message = f'expected a constant with a number for each channel, got shape {array.shape} for {value.shape}'
    refuse(not fits or not array.size, message)
    numbers = array.reshape(-1)
    if len(axes) == 1:
        if value.flat is not None:
            return value, numbers[value.order]
        return call.draft.last(value, axes[0] - 1), numbers
    refuse(len(axes) > 1 and (numbers != numbers[0]).any(), message)
    return value, numbers[0]
