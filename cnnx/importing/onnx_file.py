"""ONNX files as they are read: nodes with attributes and constants as Python and NumPy have them, all sizes checked."""

import math
import os
import stat
from typing import NamedTuple

import numpy as np

from cnnx.checkpoint import CheckpointError, as_checkpoint_error

# Older ones broadcast in another way.
OLDEST_OPSET = 7
# Bytes; ONNX files are of Protocol Buffers, which hold no more.
LARGEST = 2**31
MOST_NODES = 10_000
DOMAINS = ('', 'ai.onnx')


class Node(NamedTuple):
    """An operator: how errors name it, its kind, what it reads and gives, by name, and its attributes."""

    where: str
    kind: str
    inputs: tuple
    outputs: tuple
    attributes: dict


class Model(NamedTuple):
    """A file: its nodes in the order of their calculation, constants by name, input, output and metadata.

    Attributes:
        input: (name, sizes, dtype); sizes are whole numbers, or None where they are left open.
        output: its name.
        size: bytes of the file.
    """

    nodes: list
    constants: dict
    input: tuple
    output: str
    opset: int
    metadata: dict
    size: int


def read(path, output=None):
    """Return the `Model` of an .onnx file.

    Args:
        path: the file.
        output: the name of the output, of those of the file or of its nodes; None for the only one.

    Raises:
        CheckpointError: it is damaged, has no such output, or has external data, subgraphs, functions, several inputs.
        ImportError: the package onnx is not installed.
        OSError: there is no such file, or it cannot be opened.
    """
    onnx, errors = _import_onnx()
    if not stat.S_ISREG(os.stat(os.fspath(path)).st_mode):
        raise CheckpointError(f'{path}: not a file')
    size = os.path.getsize(path)
    if size > LARGEST:
        raise CheckpointError(f'{path}: expected at most {LARGEST:,} bytes, got {size:,}')
    with open(path, 'rb') as stream, as_checkpoint_error(path, 'cannot be read'):
        proto = onnx.ModelProto()
        try:
            proto.ParseFromString(stream.read())
        except errors as error:
            raise ValueError(f'damaged, or no ONNX file: {error}') from None
        return _model(onnx, proto, size, output)


def _import_onnx():
    try:
        import onnx
        import onnx.numpy_helper
        from google.protobuf.message import DecodeError
    except ImportError as error:
        raise ImportError(f'load: ONNX files need the package onnx: pip install "cnnx[onnx]" ({error})') from None
    return onnx, DecodeError


def _model(onnx, proto, size, output):
    graph = proto.graph
    if len(graph.node) > MOST_NODES:
        raise ValueError(f'expected at most {MOST_NODES:,} nodes, got {len(graph.node):,}')
    if not graph.output:
        raise ValueError('damaged, or no ONNX file: it has no graph with an output')
    if proto.functions or graph.sparse_initializer:
        raise ValueError('functions and sparse constants are not supported; export without them')
    opsets = [entry.version for entry in proto.opset_import if entry.domain in DOMAINS]
    if not opsets or opsets[0] < OLDEST_OPSET:
        raise ValueError(
            f'expected opset {OLDEST_OPSET} or later, got {opsets[0] if opsets else "none"}; export it anew'
        )
    constants = {tensor.name: array_of(onnx, tensor) for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in constants]
    if len(inputs) != 1:
        raise ValueError(f'expected one input, got {len(inputs)}: {_names(inputs)}')
    if output is None and len(graph.output) > 1:
        raise ValueError(f'expected one output, got {len(graph.output)}; give output=, one of {_names(graph.output)}')
    output = graph.output[0].name if output is None else output
    nodes = [_node(onnx, node) for node in _in_order(graph.node, {*constants, inputs[0].name}, output)]
    if not nodes and output != inputs[0].name:
        raise ValueError(f'output {output!r}: there is none of this name; the file has {_names(graph.output)}')
    return Model(
        nodes,
        constants,
        _input(onnx, inputs[0]),
        output,
        opsets[0],
        {entry.key: entry.value for entry in proto.metadata_props},
        size,
    )


def _names(values):
    return ', '.join(repr(value.name) for value in values)[:200]


def _input(onnx, value):
    """Return (name, sizes, dtype) of the input, sizes left open as None."""
    tensor = value.type.tensor_type
    kinds = onnx.TensorProto
    dtypes = {getattr(kinds, name): name for name in NUMBERS}
    if not value.type.HasField('tensor_type') or tensor.elem_type not in dtypes:
        raise ValueError(f'input {value.name!r}: expected a tensor of numbers')
    sizes = [size.dim_value if size.dim_value > 0 else None for size in tensor.shape.dim]
    return value.name, sizes, dtypes[tensor.elem_type]


def _node(onnx, node):
    if node.domain not in DOMAINS:
        raise ValueError(f'{_where(node)}: operators of {node.domain!r} are not supported')
    attributes = {attribute.name: _attribute(onnx, node, attribute) for attribute in node.attribute}
    return Node(_where(node), node.op_type, tuple(node.input), tuple(node.output), attributes)


def _attribute(onnx, node, attribute):
    """Return an attribute as a number, text, tuple or array."""
    kinds = onnx.AttributeProto
    read = {
        kinds.FLOAT: lambda: float(attribute.f),
        kinds.INT: lambda: int(attribute.i),
        kinds.STRING: lambda: attribute.s.decode('utf-8', 'replace'),
        kinds.TENSOR: lambda: array_of(onnx, attribute.t),
        kinds.FLOATS: lambda: tuple(attribute.floats),
        kinds.INTS: lambda: tuple(attribute.ints),
        kinds.STRINGS: lambda: tuple(text.decode('utf-8', 'replace') for text in attribute.strings),
    }
    if attribute.type not in read:
        raise ValueError(f'{_where(node)}: attribute {attribute.name} is a subgraph, or the like')
    return read[attribute.type]()


# What a constant may hold: the name of its type in ONNX, bytes of a number, and the field for numbers that are not raw.
NUMBERS = {
    'FLOAT': (4, 'float_data'),
    'DOUBLE': (8, 'double_data'),
    'FLOAT16': (2, 'int32_data'),
    'BFLOAT16': (2, 'int32_data'),
    'INT64': (8, 'int64_data'),
    'INT32': (4, 'int32_data'),
    'INT16': (2, 'int32_data'),
    'INT8': (1, 'int32_data'),
    'UINT8': (1, 'int32_data'),
    'UINT16': (2, 'int32_data'),
    'BOOL': (1, 'int32_data'),
}


def array_of(onnx, tensor):
    """Return the array of a TensorProto, half precision widened, or raise a ValueError."""
    if tensor.external_data or tensor.data_location == onnx.TensorProto.EXTERNAL:
        raise ValueError(
            f'constant {tensor.name!r}: data in another file are not supported; save all in one file '
            f'(PyTorch: external_data=False)'
        )
    names = {getattr(onnx.TensorProto, name): name for name in NUMBERS}
    if tensor.data_type not in names or tensor.HasField('segment'):
        raise ValueError(f'constant {tensor.name!r}: expected numbers, got a tensor of type {tensor.data_type}')
    width, field = NUMBERS[names[tensor.data_type]]
    count = math.prod(tensor.dims)
    found = len(tensor.raw_data) / width if tensor.HasField('raw_data') else len(getattr(tensor, field))
    if min(tensor.dims, default=0) < 0 or found != count:
        raise ValueError(f'constant {tensor.name!r}: announces shape {tuple(tensor.dims)}, and has another size')
    array = np.asarray(onnx.numpy_helper.to_array(tensor))
    return array.astype(np.float32) if array.dtype.name in ('float16', 'bfloat16') else array


def _in_order(nodes, known, output):
    """Return the nodes that an output needs, each after those that it reads, or raise a ValueError."""
    givers = {}
    for place, node in enumerate(nodes):
        for name in filter(None, node.output):
            if name in givers or name in known:
                raise ValueError(f'{_where(node)}: {name!r} is given twice')
            givers[name] = place
    ordered, done, under_way, waiting = [], set(), set(), []

    def begin(place):
        under_way.add(place)
        waiting.append((place, iter(nodes[place].input)))

    if output in givers:
        begin(givers[output])
    while waiting:
        place, inputs = waiting[-1]
        node = nodes[place]
        for name in inputs:
            giver = givers.get(name)
            if name and name not in known and giver is None:
                raise ValueError(f'{_where(node)}: it reads {name!r}, which nothing gives')
            if giver is not None and giver not in done:
                if giver in under_way:
                    raise ValueError(f'{_where(node)}: nodes read each other in a circle')
                begin(giver)
                break
        else:
            waiting.pop()
            done.add(place)
            ordered.append(node)
    return ordered


def _where(node):
    """How errors name a node of a file."""
    return f'node {(node.name or node.output[0])!r} ({node.op_type})'
