"""How each kind of layer is written in operators of ONNX: a function of graph, layer and what it reads.

Source: https://onnx.ai/onnx/operators/.
"""

import math

import numpy as np

from cnnx.export.onnx_graph import Value
from cnnx.layers import LAYERS


def add_layer(graph, layer, inputs):
    """Add the nodes of a layer and return the `Value` that it gives.

    Args:
        graph: a `Graph`.
        layer: of a network.
        inputs: the values that it reads.

    Raises:
        ValueError: the layer is not one of cnnx.
    """
    kind = type(layer).__name__
    if LAYERS.get(kind) is not type(layer):
        raise ValueError(f'{layer.where}: export knows the layers of cnnx, not those of your own')
    if kind in WEIGHTED:
        return WEIGHTED[kind](graph, layer, inputs[0], *_weights(layer))
    if kind in ELEMENTWISE:
        value = inputs[0]
        return value._replace(name=ELEMENTWISE[kind](graph, layer, value))
    return OTHERS[kind](graph, layer, *inputs)


def _weights(layer):
    """Return weights and bias, or None where there is none."""
    return layer.weights.astype(np.float64), None if layer.bias is None else layer.bias.astype(np.float64)


def _by_channel(value, numbers):
    """Return numbers, one for each channel of a value, as they broadcast in the file."""
    numbers = numbers if value.order is None else numbers[value.order]
    return numbers.reshape(-1, *(1,) * (len(value.shape) - 1))


def _given(*arrays):
    return [array for array in arrays if array is not None]


# Layers with weights: of graph, layer, value, weights and bias.


def _convolution(graph, layer, value, weights, bias):
    axes = len(value.shape) - 1
    weights = weights.transpose(3, 2, 0, 1).reshape(layer.num_filters, weights.shape[2], *layer.kernel_size[-axes:])
    settings = {**_window(layer, axes), 'group': layer.groups}
    return Value(graph.node('Conv', value.name, *_given(weights, bias), **settings), layer.shape)


def _transposed_convolution(graph, layer, value, weights, bias):
    before = layer.window[4:6]
    # What the image has less than all windows together; where it has more, zeros are added at the end.
    less = [
        (count - 1) * step + kernel - size
        for count, step, kernel, size in zip(value.shape, layer.stride, layer.kernel_size, layer.shape, strict=False)
    ]
    settings = {
        'kernel_shape': layer.kernel_size,
        'strides': layer.stride,
        'pads': [*before, *(max(total - pad, 0) for total, pad in zip(less, before, strict=True))],
        'output_padding': [max(-total, 0) for total in less],
    }
    arrays = _given(weights.transpose(3, 2, 0, 1), bias)
    return Value(graph.node('ConvTranspose', value.name, *arrays, **settings), layer.shape)


def _dense(graph, layer, value, weights, bias):
    weights = weights if value.order is None else weights[value.order]
    return Value(graph.node('Gemm', value.name, *_given(weights, bias)), layer.shape)


WEIGHTED = {
    'Convolutional': _convolution,
    'Convolutional1D': _convolution,
    'Dense': _dense,
    'TransposedConvolutional': _transposed_convolution,
}


def _window(layer, axes, pads=None):
    """Return the settings of a window over the last axes of an image."""
    window = layer.window
    if pads is None:
        pads = _pads(layer)
    return {
        'kernel_shape': window[:2][-axes:],
        'strides': window[2:4][-axes:],
        'dilations': window[6:8][-axes:],
        'pads': [*pads[0][-axes:], *pads[1][-axes:]],
    }


def _pads(layer):
    """Return how many rows and columns all windows together reach before the image, and how many after it."""
    window, sizes, counts = layer.window, (1, *layer.input_shape)[-3:-1], (1, *layer.shape)[-3:-1]
    after = [
        max((count - 1) * step + apart * (reads - 1) + 1 - size - before, 0)
        for size, count, reads, step, before, apart in zip(
            sizes, counts, window[:2], window[2:4], window[4:6], window[6:8], strict=True
        )
    ]
    return window[4:6], after


# Layers that keep the shape and the order of numbers: of graph, layer and value; they return the name of the output.


def _relu(graph, layer, value):
    if layer.max_value is None:
        return graph.node('Relu', value.name)
    return graph.node('Clip', value.name, np.array(0.0), np.array(layer.max_value))


def _silu(graph, layer, value):
    return graph.node('Mul', value.name, graph.node('Sigmoid', value.name))


def _gelu(graph, layer, value):
    if graph.opset >= 20:
        return graph.node('Gelu', value.name)
    erf = graph.node('Erf', graph.node('Mul', value.name, np.array(math.sqrt(0.5))))
    half = graph.node('Mul', value.name, np.array(0.5))
    return graph.node('Mul', half, graph.node('Add', erf, np.array(1.0)))


def _hard_swish(graph, layer, value):
    if graph.opset >= 14:
        return graph.node('HardSwish', value.name)
    return graph.node('Mul', value.name, graph.node('HardSigmoid', value.name, alpha=1 / 6, beta=0.5))


def _prelu(graph, layer, value):
    return graph.node('PRelu', value.name, _by_channel(value, layer.parameters[0].value))


def _batch_normalization(graph, layer, value):
    order = slice(None) if value.order is None else value.order
    arrays = [parameter.value[order] for parameter in layer.parameters]
    return graph.node('BatchNormalization', value.name, *arrays, epsilon=layer.epsilon)


def _layer_normalization(graph, layer, value):
    centred = graph.node('Sub', value.name, _mean_of_channels(graph, value.name))
    variance = _mean_of_channels(graph, graph.node('Mul', centred, centred))
    deviation = graph.node('Sqrt', graph.node('Add', variance, np.array(layer.epsilon)))
    return _scale_and_shift(graph, layer, value, graph.node('Div', centred, deviation))


def _mean_of_channels(graph, name):
    if graph.opset >= 18:
        return graph.node('ReduceMean', name, np.array([1]), keepdims=1)
    return graph.node('ReduceMean', name, axes=[1], keepdims=1)


def _scale_and_shift(graph, layer, value, name):
    gamma, beta = (_by_channel(value, parameter.value) for parameter in layer.parameters)
    return graph.node('Add', graph.node('Mul', name, gamma), beta)


def _rescaling(graph, layer, value):
    scale, offset = (_by_channel(value, np.broadcast_to(n, value.shape[-1:])) for n in (layer.scale, layer.offset))
    return graph.node('Add', graph.node('Mul', value.name, scale), offset)


ELEMENTWISE = {
    'BatchNormalization': _batch_normalization,
    'Dropout': lambda graph, layer, value: value.name,
    'ELU': lambda graph, layer, value: graph.node('Elu', value.name, alpha=layer.alpha),
    'GELU': _gelu,
    'HardSigmoid': lambda graph, layer, value: graph.node(
        'HardSigmoid', value.name, alpha=layer.alpha, beta=layer.beta
    ),
    'HardSwish': _hard_swish,
    'LayerNormalization': _layer_normalization,
    'LeakyReLU': lambda graph, layer, value: graph.node('LeakyRelu', value.name, alpha=layer.negative_slope),
    'LogSoftmax': lambda graph, layer, value: graph.node('LogSoftmax', value.name, axis=1),
    'PReLU': _prelu,
    'ReLU': _relu,
    'Rescaling': _rescaling,
    'SELU': lambda graph, layer, value: graph.node('Selu', value.name),
    'SiLU': _silu,
    'Sigmoid': lambda graph, layer, value: graph.node('Sigmoid', value.name),
    'Softmax': lambda graph, layer, value: graph.node('Softmax', value.name, axis=1),
    'Softplus': lambda graph, layer, value: graph.node('Softplus', value.name),
    'Tanh': lambda graph, layer, value: graph.node('Tanh', value.name),
}


# All others: of graph, layer and the values that it reads; they return the value that it gives.


def _group_normalization(graph, layer, value):
    value = graph.in_order(value)
    groups = graph.node('Reshape', value.name, np.array([0, layer.groups, -1]))
    ones, zeros = np.ones(layer.groups), np.zeros(layer.groups)
    normalized = graph.node('InstanceNormalization', groups, ones, zeros, epsilon=layer.epsilon)
    name = graph.node('Reshape', normalized, np.array([0, *value.sizes]))
    return value._replace(name=_scale_and_shift(graph, layer, value, name))


def _max_pooling(graph, layer, value):
    settings = _window(layer, len(value.shape) - 1)
    return Value(graph.node('MaxPool', value.name, **settings), layer.shape)


def _average_pooling(graph, layer, value):
    """Padding is left out of the mean; where it counts, or pixels are apart, numbers by place make up for it."""
    axes, channels = len(value.shape) - 1, value.shape[-1]
    settings = _window(layer, axes)
    if layer.dilation == (1, 1):
        del settings['dilations']
        name = graph.node('AveragePool', value.name, **settings)
    else:
        weights = np.full((channels, 1, *settings['kernel_shape']), 1 / math.prod(layer.pool_size))
        name = graph.node('Conv', value.name, weights, group=channels, **settings)
    if layer.factor is not None:
        name = graph.node('Mul', name, layer.factor[..., 0])
    return Value(name, layer.shape)


def _global_pooling(kind):
    def pooling(graph, layer, value):
        return Value(graph.node('Flatten', graph.node(kind, value.name), axis=1), layer.shape)

    return pooling


def _up_sampling(graph, layer, value):
    how = {
        'nearest': {'mode': 'nearest', 'coordinate_transformation_mode': 'asymmetric', 'nearest_mode': 'floor'},
        'bilinear': {'mode': 'linear', 'coordinate_transformation_mode': 'half_pixel'},
    }[layer.interpolation]
    return Value(graph.node('Resize', value.name, '', np.array([1.0, 1.0, *layer.size]), **how), layer.shape)


def _zero_padding(graph, layer, value):
    (top, bottom), (left, right) = layer.padding
    return Value(graph.node('Pad', value.name, np.array([0, 0, top, left, 0, 0, bottom, right])), layer.shape)


def _cropping(graph, layer, value):
    (top, _), (left, _) = layer.cropping
    ends = np.array([top + layer.shape[0], left + layer.shape[1]])
    return Value(graph.node('Slice', value.name, np.array([top, left]), ends, np.array([2, 3])), layer.shape)


def _permute(graph, layer, value):
    rank = len(value.shape)
    if rank == 1:
        return value
    places = [1 if axis == rank - 1 else axis + 2 for axis in layer.axes]
    return Value(graph.node('Transpose', value.name, perm=[0, places[-1], *places[:-1]]), layer.shape)


def _reshape(graph, layer, value):
    if layer.shape == value.shape:
        return value
    if len(layer.shape) == 1:
        order = None
        if value.moves:
            order = np.arange(math.prod(value.shape)).reshape(value.shape)
            order = np.moveaxis(order, -1, 0).reshape(-1)
        return Value(graph.node('Flatten', value.name, axis=1), layer.shape, order)
    value, target = graph.in_order(value), Value('', layer.shape)
    name = graph.channels_last(value).name if value.moves else value.name
    sizes = target.shape if target.moves else target.sizes
    target = Value(graph.node('Reshape', name, np.array([0, *sizes])), layer.shape, channels_last=target.moves)
    return graph.channels_first(target)


def _merge(kind):
    def merge(graph, layer, *values):
        if not all(np.array_equal(value.order, values[0].order) for value in values):
            values = [graph.in_order(value) for value in values]
        name = values[0].name
        for value in values[1:]:
            name = graph.node(kind, name, value.name)
        return values[0]._replace(name=name)

    return merge


def _concatenate(graph, layer, *values):
    values = [graph.in_order(value) for value in values]
    axis = layer.axis % len(layer.shape)
    place = 1 if axis == len(layer.shape) - 1 else axis + 2
    return Value(graph.node('Concat', *(value.name for value in values), axis=place), layer.shape)


OTHERS = {
    'Add': _merge('Add'),
    'AveragePooling': _average_pooling,
    'AveragePooling1D': _average_pooling,
    'Concatenate': _concatenate,
    'Cropping': _cropping,
    'Flatten': _reshape,
    'GlobalAveragePooling': _global_pooling('GlobalAveragePool'),
    'GlobalMaxPooling': _global_pooling('GlobalMaxPool'),
    'GroupNormalization': _group_normalization,
    'MaxPooling': _max_pooling,
    'MaxPooling1D': _max_pooling,
    'Multiply': _merge('Mul'),
    'Permute': _permute,
    'Reshape': _reshape,
    'UpSampling': _up_sampling,
    'ZeroPadding': _zero_padding,
}
