"""Fuzz the reader of ONNX files: `python tests/torture/fuzz_onnx.py --seconds 600`. Needs cnnx[fuzz,onnx]."""

import random
import sys
from pathlib import Path

import atheris
import fuzzing
import numpy as np
import onnx

sys.path.insert(0, str(Path(__file__).parents[1]))
from graph_networks import random_graph

with atheris.instrument_imports(include=['cnnx.importing', 'cnnx.network']):
    import cnnx
    from cnnx.export.onnx import to_bytes
    from cnnx.importing import onnx as _  # noqa: F401
    from cnnx.importing.onnx_operators import OPERATORS

LARGEST = 1 << 15
NUMBERS = (0, -1, 1, 2, 3, 7, 255, 65536, 2**31 - 1, 2**31, 2**40, 2**62, -(2**62), 2**63 - 1, -(2**63))


def seeds():
    """Networks of many kinds of layers, as cnnx writes them."""
    networks = [random_graph(seed, dtype='float32') for seed in range(24)]
    found = [
        to_bytes(net, layout=('NHWC', 'NCHW')[i % 2], opset=(13, 20)[i % 3 == 0]) for i, net in enumerate(networks)
    ]
    return [content for content in found if len(content) < LARGEST]


def check(path):
    """Load a file, and run the network if it is small; only CheckpointError may come."""
    target = path.with_suffix('.onnx')
    target.write_bytes(path.read_bytes())
    try:
        net = cnnx.Network.load(target)
    except cnnx.CheckpointError as error:
        assert str(target) in str(error)
        return
    if net.multiply_adds < 1e7 and sum(np.prod(layer.shape) for layer in net.layers) < 1e6:
        with np.errstate(all='ignore'):
            assert net.predict(np.ones((2, *net.input_shape))).shape == (2, *net.layers[-1].shape)


def mutate(data, largest, seed):
    """Change an operator, an attribute, a shape, a constant or a name of a model; now and then bytes alone."""
    rng = random.Random(seed)
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except Exception:
        return None
    graph = model.graph
    if rng.random() < 0.2 or not graph.node:
        return None
    try:
        for _ in range(rng.randint(1, 3)):
            change = rng.choice((_operator, _attribute, _dims, _numbers, _wiring, _sizes, _copy))
            change(rng, graph)
    except UnicodeDecodeError:  # a name that an earlier change has spoilt
        return None
    return model.SerializeToString()


def _operator(rng, graph):
    rng.choice(graph.node).op_type = rng.choice([*OPERATORS, 'Gather', 'Concat', 'ConstantOfShape', 'Loop', ''])


def _attribute(rng, graph):
    node = rng.choice(graph.node)
    if node.attribute and rng.random() < 0.7:
        attribute = rng.choice(node.attribute)
        if attribute.ints:
            attribute.ints[rng.randrange(len(attribute.ints))] = rng.choice(NUMBERS)
        else:
            attribute.i, attribute.f = rng.choice(NUMBERS), rng.choice((0.0, -1.0, 1e38, float('nan'), float('inf')))
    else:
        names = ('axis', 'group', 'pads', 'strides', 'dilations', 'ceil_mode', 'perm', 'epsilon', 'keepdims', 'axes')
        value = rng.choice(
            (rng.choice(NUMBERS), [rng.choice(NUMBERS) for _ in range(rng.randint(0, 5))], 0.5, 'SAME_UPPER')
        )
        if value != []:
            node.attribute.append(onnx.helper.make_attribute(rng.choice(names), value))


def _dims(rng, graph):
    if graph.initializer:
        tensor = rng.choice(graph.initializer)
        if tensor.dims:
            tensor.dims[rng.randrange(len(tensor.dims))] = rng.choice(NUMBERS)


def _numbers(rng, graph):
    whole = [tensor for tensor in graph.initializer if tensor.data_type == onnx.TensorProto.INT64]
    if whole:
        tensor = rng.choice(whole)
        numbers = np.array([rng.choice(NUMBERS) for _ in range(len(tensor.raw_data) // 8)], np.int64)
        tensor.raw_data = numbers.tobytes()


def _wiring(rng, graph):
    names = [*(node.output[0] for node in graph.node if node.output), *(t.name for t in graph.initializer), 'input', '']
    node = rng.choice(graph.node)
    if node.input:
        node.input[rng.randrange(len(node.input))] = rng.choice(names)


def _sizes(rng, graph):
    for value in graph.input:
        dims = value.type.tensor_type.shape.dim
        if dims:
            rng.choice(dims).dim_value = rng.choice(NUMBERS)


def _copy(rng, graph):
    node = graph.node.add()
    node.CopyFrom(rng.choice(graph.node))
    if node.output:
        node.output[0] = f'copy_{rng.randrange(10**6)}'
        rng.choice(graph.node).input.append(node.output[0])


if __name__ == '__main__':
    fuzzing.main('fuzz_onnx', seeds, check, mutate, LARGEST)
