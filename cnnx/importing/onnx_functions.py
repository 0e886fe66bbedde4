"""Operators of ONNX on each row or each number: dense layers, normalization, activations.

Source: https://onnx.ai/onnx/operators/.
"""

import math

import numpy as np

from cnnx import layers
from cnnx.importing.draft import Value
from cnnx.importing.merging import Erf
from cnnx.importing.onnx_call import refuse, with_constant
from cnnx.importing.onnx_constants import checked_axes


def _gemm(call):
    refuse(call.attribute('transA', 0), 'transA: expected 0: the first axis is that of the batch')
    weights, bias = call.needed(1, 'weights'), call.array(2, 'bias')
    weights = weights.T if call.attribute('transB', 0) else weights
    alpha, beta = call.attribute('alpha', 1.0), call.attribute('beta', 1.0)
    if bias is not None:
        fits = bias.ndim < 2 or (bias.ndim == 2 and bias.shape[0] == 1)
        refuse(not fits, f'bias: expected one number an output, got shape {bias.shape}')
        bias = np.broadcast_to(bias.reshape(-1), weights.shape[1:2]) * _as(bias, beta)
    return _dense(call, call.value(), weights * _as(weights, alpha), bias)


def _as(array, number):
    return array.dtype.type(number) if array.dtype.kind == 'f' else number


def _matmul(call):
    value, weights = call.value(), call.needed(1, 'weights')
    refuse(weights.ndim != 2, f'weights: expected two axes, got shape {weights.shape}')
    if len(value.shape) == 1:
        return _dense(call, value, weights, None)
    # A product at each position is a convolution with a kernel of one pixel.
    axis = len(value.shape) - 1
    refuse(axis > 2, f'expected at most three axes beside the batch, got {value.shape}')
    value = call.draft.arrange(value, range(axis + 1))
    kind = layers.Convolutional1D if axis == 1 else layers.Convolutional
    layer = kind(weights.shape[1], 1, use_bias=False)
    place = call.draft.add(layer, value.place, weights=weights.reshape(1, 1, *weights.shape))
    return value._replace(place=place, shape=(*value.shape[:-1], weights.shape[1]), channels=axis)


def _dense(call, value, weights, bias):
    fits = weights.ndim == 2 and value.shape == weights.shape[:1]
    refuse(not fits, f'expected input (N, {weights.shape[0]}), got {value.shape} beside the batch')
    if value.flat is None:
        value = call.draft.arrange(value, (0,))
    else:
        weights = weights[value.order]
    arrays = {'weights': weights} if bias is None else {'weights': weights, 'bias': bias}
    place = call.draft.add(layers.Dense(weights.shape[1], use_bias=bias is not None), value.place, **arrays)
    return Value(place, weights.shape[1:], (0,))


def _by_channel(value, array, name):
    """Return numbers by channel, the first axis of the file, in the order of cnnx; or raise a ValueError."""
    array = np.asarray(array)
    refuse(array.shape != value.shape[:1], f'{name}: expected shape {value.shape[:1]}, got {array.shape}')
    return array if value.flat is None else array[value.order]


def _channels_last(call, value):
    return value if value.flat is not None else call.draft.last(value, 0)


def _batch_normalization(call):
    refuse(call.attribute('training_mode', 0), 'training_mode: expected 0; export the network for inference')
    refuse(call.attribute('spatial', 1) != 1, 'spatial: expected 1')
    value = _channels_last(call, call.value())
    names = ('gamma', 'beta', 'running_mean', 'running_variance')
    arrays = {name: _by_channel(value, call.needed(i + 1, name), name) for i, name in enumerate(names)}
    momentum, epsilon = call.attribute('momentum', 0.9), call.attribute('epsilon', 1e-5)
    momentum = momentum if 0 <= momentum < 1 else 0.9
    return call.draft.apply(layers.BatchNormalization(momentum=momentum, epsilon=epsilon), value, **arrays)


def _instance_normalization(call):
    value = call.draft.last(call.value(), 0)
    arrays = {name: _by_channel(value, call.needed(i + 1, name), name) for i, name in enumerate(('gamma', 'beta'))}
    layer = layers.GroupNormalization(value.shape[0], epsilon=call.attribute('epsilon', 1e-5))
    return call.draft.apply(layer, value, **arrays)


def _layer_normalization(call):
    """`axes` stands for one that was found in its parts; scale and bias come after it then."""
    value, rank = call.value(), len(call.value().shape)
    axis = checked_axes(call.attribute('axes', (call.attribute('axis', -1),)), rank + 1)[0] - 1
    refuse(axis < 0 or (axis != rank - 1 and call.attribute('axes') is None), 'axis: expected the last one')
    value = call.draft.last(value, axis) if value.flat is None else value
    ones = np.ones(value.shape[axis], np.float32)
    gamma, beta = (ones if len(call.inputs) == 1 else call.needed(1, 'scale')), call.array(2, 'bias')
    beta = np.zeros_like(ones) if beta is None else beta
    order = slice(None) if value.flat is None else value.order
    arrays = {'gamma': gamma.reshape(-1)[order], 'beta': beta.reshape(-1)[order]}
    return call.draft.apply(layers.LayerNormalization(epsilon=call.attribute('epsilon', 1e-5)), value, **arrays)


def _prelu(call):
    value, slope = with_constant(call, call.value(), call.needed(1, 'slope'))
    return call.draft.apply(layers.PReLU(), value, alpha=np.broadcast_to(slope, value.sizes[-1:]))


def _clip(call):
    low, high = call.attribute('min'), call.attribute('max')
    if call.opset >= 11:
        low, high = (
            None if a is None else float(np.asarray(a).reshape(-1)[0])
            for a in (call.array(1, 'min'), call.array(2, 'max'))
        )
    low = None if low is None or low <= -3.4e38 else low
    high = None if high is None or high >= 3.4e38 else high
    value, draft = call.value(), call.draft
    if low is None and high is None:
        return value
    if low is None:
        value = draft.apply(layers.ReLU(), draft.apply(layers.Rescaling(-1.0, high), value))
        return draft.apply(layers.Rescaling(-1.0, high), value)
    refuse(high is not None and high <= low, f'max: expected more than min, {low}, got {high}')
    if low:
        value = draft.apply(layers.Rescaling(1.0, -low), value)
    value = draft.apply(layers.ReLU(max_value=None if high is None else high - low), value)
    return draft.apply(layers.Rescaling(1.0, low), value) if low else value


def _selu(call):
    alpha, gamma = call.attribute('alpha', layers.SELU.alpha), call.attribute('gamma', layers.SELU.scale)
    if math.isclose(alpha, layers.SELU.alpha, rel_tol=1e-6) and math.isclose(gamma, layers.SELU.scale, rel_tol=1e-6):
        return call.draft.apply(layers.SELU(), call.value())
    return call.draft.apply(layers.Rescaling(gamma), call.draft.apply(layers.ELU(alpha), call.value()))


def _gelu(call):
    refuse(call.attribute('approximate', 'none') != 'none', 'approximate: expected "none", the exact function')
    return call.draft.apply(layers.GELU(), call.value())


def _unary(make):
    """Return an operator that is one layer, made of the call."""
    return lambda call: call.draft.apply(make(call), call.value())


def _softmax(kind):
    def softmax(call):
        value, draft = call.value(), call.draft
        rank, default = len(value.shape), -1 if call.opset >= 13 else 1
        axis = checked_axes([call.attribute('axis', default)], rank + 1)[0] - 1
        refuse(axis < 0, 'axis: expected another one than that of the batch')
        if call.opset >= 13 or all(size == 1 for size in value.shape[axis + 1 :]):
            return draft.apply(kind(), value if rank == 1 else draft.last(value, axis))
        # Older operators take all axes from this one on together.
        shape = (*value.shape[:axis], math.prod(value.shape[axis:]))
        rows = draft.reshape(value, shape)
        rows = draft.apply(kind(), rows if len(shape) == 1 else draft.last(rows, axis))
        return draft.reshape(rows, value.shape)

    return softmax


def _dropout(call):
    rate = call.array(1, 'ratio') if call.opset >= 12 else call.attribute('ratio', 0.5)
    rate = 0.5 if rate is None else float(np.asarray(rate).reshape(-1)[0])
    training = call.array(2, 'training_mode')
    refuse(training is not None and bool(training.any()), 'training_mode: expected False')
    return call.draft.apply(layers.Dropout(rate), call.value()) if 0 < rate < 1 else call.value()


def _cast(call):
    refuse(call.attribute('to') not in (1, 10, 11, 16), 'to: expected a type of floats')
    return call.value()


OPERATORS = {
    'BatchNormalization': _batch_normalization,
    'Cast': _cast,
    'Clip': _clip,
    'Dropout': _dropout,
    'Elu': _unary(lambda call: layers.ELU(call.attribute('alpha', 1.0))),
    'Erf': _unary(lambda call: Erf()),
    'Gelu': _gelu,
    'Gemm': _gemm,
    'HardSigmoid': _unary(lambda call: layers.HardSigmoid(call.attribute('alpha', 0.2), call.attribute('beta', 0.5))),
    'HardSwish': _unary(lambda call: layers.HardSwish()),
    'Identity': lambda call: call.value(),
    'InstanceNormalization': _instance_normalization,
    'LayerNormalization': _layer_normalization,
    'LeakyRelu': _unary(lambda call: layers.LeakyReLU(call.attribute('alpha', 0.01))),
    'LogSoftmax': _softmax(layers.LogSoftmax),
    'MatMul': _matmul,
    'Neg': _unary(lambda call: layers.Rescaling(-1.0)),
    'PRelu': _prelu,
    'Relu': _unary(lambda call: layers.ReLU()),
    'Selu': _selu,
    'Sigmoid': _unary(lambda call: layers.Sigmoid()),
    'Softmax': _softmax(layers.Softmax),
    'Softplus': _unary(lambda call: layers.Softplus()),
    'Tanh': _unary(lambda call: layers.Tanh()),
}
