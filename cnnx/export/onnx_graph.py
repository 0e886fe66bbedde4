"""The graph of an ONNX file, as it is made: nodes, constants, and values that know how their axes lie."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np


class Value(NamedTuple):
    """What a node gives. Within a graph, channels come first: images are (N, C, H, W), signals (N, C, L).

    Attributes:
        name: in the file.
        shape: of one sample, as cnnx has it: channels last.
        order: of flattened images: number j in the file is number order[j] in cnnx; None where they agree.
        channels_last: whether the file has them last, too: at its borders alone.
    """

    name: str
    shape: tuple
    order: np.ndarray | None = None
    channels_last: bool = False

    @property
    def sizes(self):
        """The shape of one sample in the file."""
        return self.shape if self.channels_last else (self.shape[-1], *self.shape[:-1])

    @property
    def moves(self):
        """Whether channels first or last makes a difference to the order of the numbers."""
        return self.shape[-1] > 1 and any(size > 1 for size in self.shape[:-1])


@dataclass
class Node:
    """An operator of ONNX with one output, which the node is named after."""

    kind: str
    inputs: list
    output: str
    settings: dict


@dataclass
class Graph:
    """Nodes in the order of their calculation, and constants by name.

    `prefix` begins the names of what is added next.
    """

    opset: int
    prefix: str = 'input'
    nodes: list = field(default_factory=list)
    constants: dict = field(default_factory=dict)
    input: Value | None = None
    output: Value | None = None

    def node(self, kind, *inputs, **settings):
        """Add a node and return the name of its output. Inputs are names, or arrays, which become constants."""
        names = [name if isinstance(name, str) else self.constant(name) for name in inputs]
        output = f'{self.prefix}_{kind}_{len(self.nodes)}'
        self.nodes.append(Node(kind, names, output, settings))
        return output

    def constant(self, array):
        """Add a constant and return its name: numbers as float32, whole ones as int64."""
        array = np.asarray(array)
        array = array.astype(np.float32 if array.dtype.kind == 'f' else np.int64)
        name = f'{self.prefix}_constant_{len(self.constants)}'
        self.constants[name] = array
        return name

    def channels_first(self, value):
        """Return a value of the border as those within are."""
        rank = len(value.shape)
        if not value.channels_last or rank == 1:
            return value._replace(channels_last=False)
        return Value(self.node('Transpose', value.name, perm=[0, rank, *range(1, rank)]), value.shape)

    def channels_last(self, value):
        """Return a value from within as the border has it."""
        rank = len(value.shape)
        if rank == 1:
            return value
        name = self.node('Transpose', value.name, perm=[0, *range(2, rank + 1), 1])
        return Value(name, value.shape, channels_last=True)

    def in_order(self, value):
        """Return a value whose numbers are in the order of cnnx."""
        if value.order is None:
            return value
        return Value(self.node('Gather', value.name, np.argsort(value.order), axis=1), value.shape)

    def finish(self, value):
        """Make a value the output, under the name `output`."""
        if not any(node.output == value.name for node in self.nodes):
            value = value._replace(name=self.node('Identity', value.name))
        for node in self.nodes:
            node.inputs = ['output' if name == value.name else name for name in node.inputs]
            node.output = 'output' if node.output == value.name else node.output
        self.output = value._replace(name='output')
