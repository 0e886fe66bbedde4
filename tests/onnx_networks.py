"""Networks in ONNX Runtime, for tests."""

import numpy as np
import onnx
import onnxruntime

from cnnx.export.onnx import to_bytes


def run(content, x):
    """Return what ONNX Runtime computes of images (N, H, W, C), as cnnx has it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(content, options, providers=['CPUExecutionProvider'])
    metadata = session.get_modelmeta().custom_metadata_map
    if metadata['layout'] == 'NCHW':
        x = np.ascontiguousarray(np.moveaxis(x, -1, 1))
    (y,) = session.run(None, {'input': x})
    return np.moveaxis(y, 1, -1) if metadata['layout'] == 'NCHW' else y


def difference(net, x, **options):
    """Return how far ONNX Runtime is from `predict`, in parts of the largest output."""
    expected = net.predict(x)
    y = run(to_bytes(net, **options), x)
    assert y.shape == expected.shape
    return np.abs(y - expected).max() / max(np.abs(expected).max(), 1e-30)


def randomize(net, seed):
    """Give all parameters other values than those that layers begin with."""
    rng = np.random.default_rng(seed)
    for name, parameter in net.parameters.items():
        if not name.startswith('weights'):
            parameter.value = rng.uniform(0.5, 2, parameter.value.shape)
    return net


def of_kind(content, *kinds):
    nodes = onnx.load_from_string(content).graph.node
    return [node for node in nodes if node.op_type in kinds]
