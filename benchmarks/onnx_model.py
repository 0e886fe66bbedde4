"""A chain of cnnx as an ONNX model for inference, (N, channels, height, width), made with onnx.helper."""

import numpy as np

from benchmarks.peer import channels_first, padding_of
from cnnx import BatchNormalization, Convolutional, Dense, Flatten, MaxPooling, ReLU, Softmax

# Read by all engines of the last years; newer operators are not needed.
OPSET, IR_VERSION = 17, 10


def onnx_model(net):
    """Return a chain of layers as the bytes of an ONNX model with input 'x' and output 'y', of any batch size."""
    from onnx import TensorProto, checker, helper, numpy_helper

    nodes, arrays, name, flattened = [], [], 'x', None
    for layer in net.layers:
        operator, values, attributes = _operator(layer, flattened)
        names = [f'{operator}_{layer.index}_{i}' for i in range(len(values))]
        arrays += [numpy_helper.from_array(np.ascontiguousarray(v), n) for v, n in zip(values, names, strict=True)]
        output = 'y' if layer is net.layers[-1] else f'{operator}_{layer.index}'
        nodes.append(helper.make_node(operator, [name, *names], [output], **attributes))
        name = output
        if isinstance(layer, (Flatten, Dense)):
            flattened = layer.input_shape if isinstance(layer, Flatten) else None
    *positions, channels = net.input_shape
    inputs = helper.make_tensor_value_info('x', TensorProto.FLOAT, ['N', channels, *positions])
    outputs = helper.make_tensor_value_info('y', TensorProto.FLOAT, ['N', *net.layers[-1].shape])
    graph = helper.make_graph(nodes, 'cnnx', [inputs], [outputs], arrays)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', OPSET)], ir_version=IR_VERSION)
    checker.check_model(model)
    return model.SerializeToString()


def _operator(layer, flattened):
    """Return the operator of a layer, its arrays and its attributes; a dense one reads what was of a shape before."""
    kind = type(layer)
    if kind is Convolutional and layer.is_plain:
        (top, bottom), (left, right) = padding_of(layer)
        weights = layer.weights.transpose(3, 2, 0, 1)
        return 'Conv', [weights, layer.bias_arrays()[0]], {'strides': layer.stride, 'pads': (top, left, bottom, right)}
    if kind is BatchNormalization:
        return 'BatchNormalization', [p.value for p in layer.parameters], {'epsilon': layer.epsilon}
    if kind is MaxPooling and not layer.pads:
        return 'MaxPool', [], {'kernel_shape': layer.pool_size, 'strides': layer.stride}
    if kind is Dense:
        return 'Gemm', [channels_first(layer.weights, flattened), layer.bias_arrays()[0]], {}
    simple = {ReLU: 'Relu', Flatten: 'Flatten', Softmax: 'Softmax'}
    if kind not in simple:
        raise NotImplementedError(f'no operator of ONNX for {layer!r}')
    return simple[kind], [], {}
