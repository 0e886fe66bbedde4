"""Small ONNX models, made node by node, for tests."""

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

import cnnx

# (C, H, W)
IMAGE = (3, 6, 7)


def draw(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def node(kind, inputs, output='y', **attributes):
    return helper.make_node(kind, inputs.split(), [output], **attributes)


def model(nodes, shape, constants=None, opset=13, output='y', **changes):
    """Return a ModelProto from x, (n, *shape), to an output, with constants by name."""
    kind = onnx.TensorProto.FLOAT
    x = helper.make_tensor_value_info('x', changes.pop('kind', kind), ['n', *shape])
    y = helper.make_tensor_value_info(output, kind, None)
    initializers = [numpy_helper.from_array(np.asarray(array), name) for name, array in (constants or {}).items()]
    graph = helper.make_graph(nodes, 'test', [x], [y], initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid('', opset)], ir_version=8, **changes)


def load(path, proto, **options):
    path.write_bytes(proto.SerializeToString())
    return cnnx.Network.load(path, **options)


def run(proto, x):
    """Return what ONNX Runtime computes."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=['CPUExecutionProvider'])
    return session.run(None, {'x': x})[0]


def channels_last(array):
    return np.moveaxis(array, 1, -1)


def kinds(net):
    return [type(layer).__name__ for layer in net.layers]


def check(path, proto, shape, seed=0):
    """Load a model (N, C, ...) and hold it against ONNX Runtime; return the network."""
    x = np.random.default_rng(seed).normal(size=(3, *shape)).astype(np.float32)
    net, expected = load(path, proto), run(proto, x)
    np.testing.assert_allclose(net.predict(channels_last(x)), channels_last(expected), rtol=1e-4, atol=1e-5)
    return net
