"""How operators of ONNX become layers: a function of a `Call` for each, which returns what the operator gives.

Source: https://onnx.ai/onnx/operators/.
"""

import math
from typing import NamedTuple

import numpy as np

from cnnx import layers
from cnnx._util.validation import MAX_SIZE
from cnnx.importing.draft import Draft, Value
from cnnx.importing.merging import Erf
from cnnx.importing.onnx_constants import BATCH, axes_of, checked_axes, slices_of, squeezed, unsqueezed
from cnnx.importing.onnx_file import Node

# The largest factor of Resize.
MOST_TIMES = 1024


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


def _refuse(condition, message):
    if condition:
        raise ValueError(message)


# Convolutions and dense layers.


def _conv(call):
    value, weights, bias, axes = _value_and_weights(call)
    kernel, stride, dilation = _kernel(call, weights.shape[:2]), _pair(call, 'strides'), _pair(call, 'dilations')
    sizes = _sizes(value)
    sides = _sides(call, sizes, kernel, stride, dilation)
    padding = _padding(sizes, kernel, stride, dilation, sides)
    settings = {'groups': call.attribute('group', 1), 'use_bias': bias is not None}
    arrays = {'weights': weights} if bias is None else {'weights': weights, 'bias': bias.reshape(-1)}
    if axes == 1 and padding is not None:
        padding = padding if isinstance(padding, str) else padding[1]
        settings |= {'stride': stride[1], 'dilation': dilation[1], 'padding': padding}
        return _of_signals(call, layers.Convolutional1D(weights.shape[3], kernel[1], **settings), value, arrays)
    value = _as_images(call, value)
    if padding is None:
        padding, place = 'valid', call.draft.add(layers.ZeroPadding(sides), value.place)
        value = _images(place, call.draft)
    settings |= {'stride': stride, 'dilation': dilation, 'padding': padding}
    place = call.draft.add(layers.Convolutional(weights.shape[3], kernel, **settings), value.place, **arrays)
    return _as_signals(call, _images(place, call.draft), axes)


def _value_and_weights(call):
    """Return value, weights (height, width, second axis of the file, first one), bias, and how many axes move."""
    value, weights, bias = call.value(), call.needed(1, 'weights'), call.array(2, 'bias')
    axes = weights.ndim - 2
    _refuse(axes not in (1, 2), f'weights: expected those of images or signals, got shape {weights.shape}')
    _refuse(len(value.shape) != axes + 1, f'expected {axes + 1} axes beside the batch, got {value.shape}')
    weights = weights.reshape(*weights.shape[:2], *(1, *weights.shape[2:])[-2:])
    return value, weights.transpose(2, 3, 1, 0), bias, axes


def _kernel(call, kernel):
    shape = call.attribute('kernel_shape')
    _refuse(shape is not None and (1, *shape)[-2:] != kernel, f'kernel_shape: expected {kernel}, got {shape}')
    return kernel


def _sizes(value):
    """Return height and width of images, or 1 and the length of signals."""
    return (1, *value.shape[1:])[-2:]


def _of_signals(call, layer, value, arrays):
    """Return the value of a layer over signals."""
    place = call.draft.add(layer, call.draft.arrange(value, (1, 0)).place, **arrays)
    length, channels = call.draft.shapes[place]
    return Value(place, (channels, length), (1, 0))


def _conv_transpose(call):
    value, weights, bias, axes = _value_and_weights(call)
    _refuse(call.attribute('group', 1) != 1, 'group: expected 1: a TransposedConvolutional has no groups')
    _refuse(set(call.attribute('dilations', (1,))) != {1}, 'dilations: expected 1: a TransposedConvolutional has none')
    value, kernel, stride = _as_images(call, value), _kernel(call, weights.shape[:2]), _pair(call, 'strides')
    more = _pair(call, 'output_padding', 0)
    cut = _cut_off(call, value.sizes, kernel, stride, more)
    _refuse(min(before for before, _ in cut) < 0, f'pads: expected numbers from 0 on, got {cut}')
    same = [
        (max(size - step, 0) // 2, size - step - max(size - step, 0) // 2)
        for size, step in zip(kernel, stride, strict=True)
    ]
    settings, crop = {'stride': stride, 'use_bias': bias is not None}, None
    if all(before == after for before, after in cut):
        settings['padding'] = tuple(before for before, _ in cut)
    elif cut == same:
        settings['padding'] = 'same'
    else:
        # Rows and columns that output_padding adds come from a kernel with zeros at its end.
        more = [max(-after, 0) for _, after in cut]
        weights = np.pad(weights, [*((0, extra) for extra in more), (0, 0), (0, 0)])
        settings['padding'], crop = 0, [(before, max(after, 0)) for before, after in cut]
    layer = layers.TransposedConvolutional(weights.shape[2], weights.shape[:2], **settings)
    arrays = {'weights': weights} if bias is None else {'weights': weights, 'bias': bias.reshape(-1)}
    place = call.draft.add(layer, value.place, **arrays)
    if crop is not None and any(map(any, crop)):
        place = call.draft.add(layers.Cropping(crop), place)
    return _as_signals(call, _images(place, call.draft), axes)


def _cut_off(call, sizes, kernel, stride, more):
    """Return [(before, after), ...]: what of a transposed convolution is cut off, after the output padding."""
    full = [(size - 1) * step + extent for size, step, extent in zip(sizes, stride, kernel, strict=False)]
    wanted, auto = call.attribute('output_shape'), call.attribute('auto_pad', 'NOTSET')
    if wanted is None and auto in ('SAME_UPPER', 'SAME_LOWER'):
        wanted = [size * step for size, step in zip(sizes, stride, strict=False)]
    if wanted is None:
        pads = _two_of_each(call.attribute('pads') if auto != 'VALID' else None)
        return [(before, after - extra) for (before, after), extra in zip(pads, more, strict=True)]
    wanted = (1, *wanted)[-2:]
    cut = []
    for size, extra, target in zip(full, more, wanted, strict=True):
        total = size + extra - target
        half = max(total, 0) // 2
        before = half if auto == 'SAME_UPPER' else max(total, 0) - half
        cut.append((before, total - before - extra))
    return cut


def _images(place, draft):
    """Return the value of a place that gives images."""
    height, width, channels = draft.shapes[place]
    return Value(place, (channels, height, width), (1, 2, 0))


def _as_images(call, value):
    """Return an image as (H, W, C), and a signal as an image of one row."""
    if len(value.shape) == 3:
        return call.draft.arrange(value, (1, 2, 0))
    value = call.draft.arrange(value, (1, 0))
    channels, length = value.shape
    place = call.draft.add(layers.Reshape((1, length, channels)), value.place)
    return Value(place, (channels, 1, length), (1, 2, 0))


def _as_signals(call, value, axes):
    """Return images of one row as signals, if there is one axis beside the channels."""
    if axes == 2:
        return value
    channels, _, length = value.shape
    return Value(call.draft.add(layers.Reshape((length, channels)), value.place), (channels, length), (1, 0))


def _pair(call, name, default=1):
    """Return an attribute of one or two numbers as a pair, for rows and columns."""
    numbers = call.attribute(name)
    pair = (default, default) if numbers is None else (default, *numbers)[-2:]
    fits = numbers is None or len(numbers) in (1, 2)
    _refuse(
        not fits or min(pair) < default or max(pair) > MAX_SIZE, f'{name}: expected one number an axis, got {numbers}'
    )
    return pair


def _two_of_each(pads):
    """Return pads as ((top, bottom), (left, right))."""
    pads = (0, 0, 0, 0) if pads is None else tuple(pads)
    pads = (0, pads[0], 0, pads[1]) if len(pads) == 2 else pads
    _refuse(
        len(pads) != 4 or not all(0 <= pad <= MAX_SIZE for pad in pads), f'pads: expected numbers from 0 on, got {pads}'
    )
    return ((pads[0], pads[2]), (pads[1], pads[3]))


def _sides(call, sizes, kernel, stride, dilation):
    """Return the padding of a window, as ((top, bottom), (left, right))."""
    auto = call.attribute('auto_pad', 'NOTSET')
    if auto not in ('SAME_UPPER', 'SAME_LOWER'):
        return _two_of_each(call.attribute('pads') if auto != 'VALID' else None)
    sides = _of_same(sizes, kernel, stride, dilation)
    return sides if auto == 'SAME_UPPER' else tuple((after, before) for before, after in sides)


def _of_same(sizes, kernel, stride, dilation):
    sides = []
    for size, reads, step, apart in zip(sizes, kernel, stride, dilation, strict=False):
        total = max((-(-size // step) - 1) * step + apart * (reads - 1) + 1 - size, 0)
        sides.append((total // 2, total - total // 2))
    return tuple(sides)


def _padding(sizes, kernel, stride, dilation, sides):
    """Return a padding that `Convolutional` takes, or None where there is none."""
    if all(before == after for before, after in sides):
        pads = tuple(before for before, _ in sides)
        return 'valid' if pads == (0, 0) else pads
    return 'same' if sides == _of_same(sizes, kernel, stride, dilation) else None


def _gemm(call):
    _refuse(call.attribute('transA', 0), 'transA: expected 0: the first axis is that of the batch')
    weights, bias = call.needed(1, 'weights'), call.array(2, 'bias')
    weights = weights.T if call.attribute('transB', 0) else weights
    alpha, beta = call.attribute('alpha', 1.0), call.attribute('beta', 1.0)
    if bias is not None:
        fits = bias.ndim < 2 or (bias.ndim == 2 and bias.shape[0] == 1)
        _refuse(not fits, f'bias: expected one number an output, got shape {bias.shape}')
        bias = np.broadcast_to(bias.reshape(-1), weights.shape[1:2]) * _as(bias, beta)
    return _dense(call, call.value(), weights * _as(weights, alpha), bias)


def _as(array, number):
    return array.dtype.type(number) if array.dtype.kind == 'f' else number


def _matmul(call):
    value, weights = call.value(), call.needed(1, 'weights')
    _refuse(weights.ndim != 2, f'weights: expected two axes, got shape {weights.shape}')
    if len(value.shape) == 1:
        return _dense(call, value, weights, None)
    # A product at each position is a convolution with a kernel of one pixel.
    axis = len(value.shape) - 1
    _refuse(axis > 2, f'expected at most three axes beside the batch, got {value.shape}')
    value = call.draft.arrange(value, range(axis + 1))
    kind = layers.Convolutional1D if axis == 1 else layers.Convolutional
    layer = kind(weights.shape[1], 1, use_bias=False)
    place = call.draft.add(layer, value.place, weights=weights.reshape(1, 1, *weights.shape))
    return value._replace(place=place, shape=(*value.shape[:-1], weights.shape[1]), channels=axis)


def _dense(call, value, weights, bias):
    fits = weights.ndim == 2 and value.shape == weights.shape[:1]
    _refuse(not fits, f'expected input (N, {weights.shape[0]}), got {value.shape} beside the batch')
    if value.flat is None:
        value = call.draft.arrange(value, (0,))
    else:
        weights = weights[value.order]
    arrays = {'weights': weights} if bias is None else {'weights': weights, 'bias': bias}
    place = call.draft.add(layers.Dense(weights.shape[1], use_bias=bias is not None), value.place, **arrays)
    return Value(place, weights.shape[1:], (0,))


# Normalization and functions of numbers.


def _by_channel(value, array, name):
    """Return numbers by channel, the first axis of the file, in the order of cnnx; or raise a ValueError."""
    array = np.asarray(array)
    _refuse(array.shape != value.shape[:1], f'{name}: expected shape {value.shape[:1]}, got {array.shape}')
    return array if value.flat is None else array[value.order]


def _channels_last(call, value):
    return value if value.flat is not None else call.draft.last(value, 0)


def _batch_normalization(call):
    _refuse(call.attribute('training_mode', 0), 'training_mode: expected 0; export the network for inference')
    _refuse(call.attribute('spatial', 1) != 1, 'spatial: expected 1')
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
    value, rank = call.value(), len(call.value().shape)
    axis = checked_axes([call.attribute('axis', -1)], rank + 1)[0] - 1
    _refuse(axis != rank - 1, 'axis: expected the last one')
    value = call.draft.last(value, axis)
    gamma, beta = call.needed(1, 'scale').reshape(-1), call.array(2, 'bias')
    beta = np.zeros_like(gamma) if beta is None else beta.reshape(-1)
    layer = layers.LayerNormalization(epsilon=call.attribute('epsilon', 1e-5))
    return call.draft.apply(layer, value, gamma=gamma, beta=beta)


def _prelu(call):
    value, slope = _with_constant(call, call.value(), call.needed(1, 'slope'))
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
    _refuse(low is None, f'min: expected a number, as in Relu6, got none, and max {high}')
    _refuse(high is not None and high <= low, f'max: expected more than min, {low}, got {high}')
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
    _refuse(call.attribute('approximate', 'none') != 'none', 'approximate: expected "none", the exact function')
    return call.draft.apply(layers.GELU(), call.value())


def _unary(make):
    """Return an operator that is one layer, made of the call."""
    return lambda call: call.draft.apply(make(call), call.value())


def _softmax(kind):
    def softmax(call):
        value, draft = call.value(), call.draft
        rank, default = len(value.shape), -1 if call.opset >= 13 else 1
        axis = checked_axes([call.attribute('axis', default)], rank + 1)[0] - 1
        _refuse(axis < 0, 'axis: expected another one than that of the batch')
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
    _refuse(training is not None and bool(training.any()), 'training_mode: expected False')
    return call.draft.apply(layers.Dropout(rate), call.value()) if 0 < rate < 1 else call.value()


def _cast(call):
    _refuse(call.attribute('to') not in (1, 10, 11, 16), 'to: expected a type of floats')
    return call.value()


# Pooling.


def _pool(kind, of_signals):
    def pool(call):
        value, kernel = call.value(), call.attribute('kernel_shape', ())
        axes = len(kernel)
        _refuse(axes not in (1, 2), f'kernel_shape: expected that of images or signals, got {kernel}')
        _refuse(len(value.shape) != axes + 1, f'expected {axes + 1} axes beside the batch, got {value.shape}')
        kernel, sizes = (1, *kernel)[-2:], _sizes(value)
        stride, dilation = _pair(call, 'strides'), _pair(call, 'dilations')
        sides = _sides(call, sizes, kernel, stride, dilation)
        settings = {'ceil_mode': bool(call.attribute('ceil_mode', 0))}
        if kind is layers.AveragePooling and call.attribute('count_include_pad', 0) and any(map(any, sides)):
            settings['count_include_pad'] = True
        padding = _padding(sizes, kernel, stride, dilation, sides)
        if axes == 1 and padding is not None and not any(settings.values()) and dilation == (1, 1):
            padding = padding if isinstance(padding, str) else padding[1]
            return _of_signals(call, of_signals(kernel[1], stride=stride[1], padding=padding), value, {})
        if padding is None or (padding == 'same' and settings['ceil_mode']):
            padding = sides
        layer = kind(kernel, padding=padding, stride=stride, dilation=dilation, **settings)
        place = call.draft.add(layer, _as_images(call, value).place)
        return _as_signals(call, _images(place, call.draft), axes)

    return pool


def _global_pool(kind):
    def pool(call):
        value = call.value()
        return _pool_to(call, value, kind, 0, (value.shape[0], *(1,) * (len(value.shape) - 1)))

    return pool


def _pool_to(call, value, kind, axis, shape):
    """Return a value of that shape, pooled over all axes but one."""
    rank = len(value.shape)
    if rank == 1:
        return value
    _refuse(rank > 3, f'expected images or signals, got {value.shape} beside the batch')
    value = call.draft.arrange(value, [*(other for other in range(rank) if other != axis), axis])
    kept = axis if len(shape) == rank else 0
    return Value(call.draft.add(kind(), value.place), shape, (kept,), None, kept)


def _reduce(kind):
    def reduce(call):
        value, rank = call.value(), len(call.value().shape)
        axes = axes_of(call.node, call.inputs, call.opset)
        _refuse(axes is None, 'axes: expected those of height and width, got all')
        axes = checked_axes(axes, rank + 1)
        kept = [axis for axis in range(1, rank + 1) if axis not in axes]
        _refuse(0 in axes or len(kept) != 1, f'axes: expected all but those of batch and channels, got {axes}')
        sizes = [1 if axis + 1 in axes else size for axis, size in enumerate(value.shape)]
        shape = tuple(sizes) if call.attribute('keepdims', 1) else value.shape[kept[0] - 1 : kept[0]]
        return _pool_to(call, value, kind, kept[0] - 1, shape)

    return reduce


# Shapes.


def _shape(call):
    shape = np.array([BATCH, *call.value().shape], np.int64)
    return shape[call.attribute('start', 0) : call.attribute('end')]


def _flatten(call):
    value, axis = call.value(), call.attribute('axis', 1)
    axis = axis + len(value.shape) + 1 if axis < 0 else axis
    _refuse(axis != 1, f'axis: expected 1: the batch stays as it is, got {axis}')
    return call.draft.reshape(value, (math.prod(value.shape),))


def _reshape(call):
    value = call.value()
    target = call.numbers(1, 'shape') if len(call.inputs) > 1 else list(call.attribute('shape', ()))
    _refuse(not target, 'shape: expected a constant')
    first, *rest = target
    zero_copies = not call.attribute('allowzero', 0)
    keeps = first in (BATCH, -1) or (first == 0 and zero_copies) or (call.batch is not None and first == call.batch)
    message = f'shape: expected one that keeps the batch, such as (0, -1), got {tuple(target)} for {value.shape}'
    _refuse(not keeps or not rest or BATCH in rest, message)
    if zero_copies:
        rest = [value.shape[i] if size == 0 and i < len(value.shape) else size for i, size in enumerate(rest)]
    known = math.prod(size for size in rest if size != -1)
    total = math.prod(value.shape)
    _refuse(rest.count(-1) > 1 or min(rest) < -1 or known < 1 or total % known, message)
    shape = tuple(total // known if size == -1 else size for size in rest)
    _refuse(math.prod(shape) != total, message)
    return call.draft.reshape(value, shape)


def _transpose(call):
    value, rank = call.value(), len(call.value().shape)
    perm = call.attribute('perm', tuple(range(rank, -1, -1)))
    perm = checked_axes(perm, rank + 1)
    _refuse(len(perm) != rank + 1 or perm[0] != 0, f'perm: expected one that keeps the batch first, got {perm}')
    if rank == 1:
        return value
    places = {old - 1: new for new, old in enumerate(perm[1:])}
    shape = tuple(value.shape[old - 1] for old in perm[1:])
    axes = tuple(places[axis] for axis in value.axes)
    return value._replace(shape=shape, axes=axes, channels=places[value.channels])


def _squeeze(change):
    def squeeze(call):
        value = call.value()
        axes = axes_of(call.node, call.inputs, call.opset)
        if axes is None:
            axes = [i + 1 for i, size in enumerate(value.shape) if size == 1]
        shape = change([BATCH, *value.shape], axes)
        _refuse(shape[0] != BATCH or len(shape) < 2, 'axes: expected the batch to stay first, with an axis after it')
        return call.draft.reshape(value, shape[1:])

    return squeeze


def _inner_axes(call, value, found):
    """Return images with the axes that change first, and how these are cut or padded.

    `found` are pairs of numbers by axis of the file.
    """
    changed = {axis: pair for axis, pair in found.items() if pair != (0, 0)}
    rank = len(value.shape)
    free = [axis for axis in range(rank) if axis not in changed]
    _refuse(rank != 3 or not free, f'expected a change along height and width of images, got {value.shape}')
    last = value.axes[-1] if value.axes and value.axes[-1] in free else 0 if 0 in free else free[-1]
    value = call.draft.arrange(value, [*(axis for axis in range(rank) if axis != last), last])
    return value, tuple(changed.get(axis, (0, 0)) for axis in value.axes[:2])


def _reshaped(call, value, layer):
    """Return the value of a layer that changes sizes alone."""
    place = call.draft.add(layer, value.place)
    shape = list(value.shape)
    for axis, size in zip(value.axes, call.draft.shapes[place], strict=True):
        shape[axis] = size
    return value._replace(place=place, shape=tuple(shape))


def _pad(call):
    value, rank = call.value(), len(call.value().shape)
    _refuse(call.attribute('mode', 'constant') != 'constant', f'mode: expected constant, got {call.attribute("mode")}')
    if call.opset >= 11:
        pads, number, axes = call.numbers(1, 'pads'), call.array(2, 'constant_value'), call.numbers(3, 'axes')
    else:
        pads, number, axes = list(call.attribute('pads', ())), call.attribute('value', 0.0), None
    _refuse(number is not None and np.any(np.asarray(number) != 0), f'value: expected 0, got {number}')
    axes = checked_axes(range(rank + 1) if axes is None else axes, rank + 1)
    _refuse(pads is None or len(pads) != 2 * len(axes), f'pads: expected two numbers an axis, got {pads}')
    found = {axis - 1: (pads[i], pads[i + len(axes)]) for i, axis in enumerate(axes)}
    _refuse(found.pop(-1, (0, 0)) != (0, 0), 'pads: expected none of the batch')
    if not any(map(any, found.values())):
        return value
    value, sides = _inner_axes(call, value, found)
    if min(map(min, sides)) >= 0:
        return _reshaped(call, value, layers.ZeroPadding(sides))
    _refuse(max(map(max, sides)) > 0, f'pads: expected all of one sign, got {pads}')
    return _reshaped(call, value, layers.Cropping(tuple((-a, -b) for a, b in sides)))


def _slice(call):
    value, found = call.value(), {}
    for axis, start, end, step in slices_of(
        call.node, [None, *(call.array(i, 'slice') for i in range(1, len(call.inputs)))]
    ):
        axis = checked_axes([axis], len(value.shape) + 1)[0] - 1
        _refuse(step != 1, f'steps: expected 1, got {step}')
        if axis < 0:
            _refuse(start != 0 or end < 2**31 - 1, 'axes: expected others than that of the batch')
            continue
        first, last, _ = slice(start, end).indices(value.shape[axis])
        _refuse(first >= last, f'nothing is left of axis {axis + 1}')
        found[axis] = (first, value.shape[axis] - last)
    if not any(map(any, found.values())):
        return value
    value, sides = _inner_axes(call, value, found)
    return _reshaped(call, value, layers.Cropping(sides))


def _resize(call):
    value = call.value()
    _refuse(len(value.shape) != 3, f'expected images, got {value.shape} beside the batch')
    if call.node.kind == 'Upsample':
        scales, sizes = call.array(1, 'scales') if call.opset >= 9 else call.attribute('scales'), None
        mode, where, nearest = call.attribute('mode', 'nearest'), 'asymmetric', 'floor'
    else:
        place = 2 if call.opset >= 11 else 1
        scales, sizes = call.array(place, 'scales'), call.numbers(3, 'sizes')
        scales = None if scales is None or np.size(scales) == 0 else scales
        mode = call.attribute('mode', 'nearest')
        where = call.attribute('coordinate_transformation_mode', 'half_pixel' if call.opset >= 11 else 'asymmetric')
        nearest = call.attribute('nearest_mode', 'round_prefer_floor' if call.opset >= 11 else 'floor')
    axes = call.attribute('axes')
    axes = checked_axes(range(4) if axes is None else axes, 4)
    _refuse(call.attribute('antialias', 0), 'antialias: expected 0')
    _refuse(
        call.attribute('keep_aspect_ratio_policy', 'stretch') != 'stretch', 'keep_aspect_ratio_policy: expected stretch'
    )
    if scales is None:
        _refuse(sizes is None or len(sizes) != len(axes), 'expected constant scales or sizes')
        scales = [1 if axis == 0 else size / value.shape[axis - 1] for size, axis in zip(sizes, axes, strict=True)]
    scales = np.asarray(scales, np.float64).reshape(-1)
    times = dict.fromkeys(range(3), 1.0) | {axis - 1: scale for axis, scale in zip(axes, scales, strict=True)}
    fits = all(scale == round(scale) and 1 <= scale <= MOST_TIMES for scale in times.values())
    _refuse(
        not fits or times.get(-1, 1) != 1,
        f'scales: expected whole numbers from 1 to {MOST_TIMES}, got {scales.tolist()}',
    )
    last = value.axes[-1] if value.axes and times[value.axes[-1]] == 1 else 0
    _refuse(times[last] != 1, f'scales: expected those of height and width alone, got {scales.tolist()}')
    value = call.draft.arrange(value, [*(axis for axis in range(3) if axis != last), last])
    size = tuple(int(times[axis]) for axis in value.axes[:2])
    _refuse(
        not _repeats(mode, where, nearest, size, value.sizes), f'{mode}, {where}, {nearest}: not what UpSampling does'
    )
    interpolation = 'nearest' if mode == 'nearest' else 'bilinear'
    if interpolation == 'bilinear':
        most = max(a * a * b for a, b in zip(value.sizes, size, strict=False))
        _refuse(most > 2**26, f'expected smaller images, got {value.sizes}')
    return _reshaped(call, value, layers.UpSampling(size, interpolation=interpolation))


def _repeats(mode, where, nearest, size, sizes):
    """Whether a Resize is what UpSampling does: pixels repeated, or interpolated from half pixels on."""
    if mode == 'linear':
        return where == 'half_pixel' or (where == 'pytorch_half_pixel' and min(sizes[:2]) > 1)
    if mode != 'nearest':
        return False
    rounding = {
        'floor': np.floor,
        'ceil': np.ceil,
        'round_prefer_floor': lambda x: np.ceil(x - 0.5),
        'round_prefer_ceil': lambda x: np.floor(x + 0.5),
    }.get(nearest)
    if rounding is None or where not in ('half_pixel', 'asymmetric', 'pytorch_half_pixel'):
        return False
    for times in size:
        places = np.arange(times)
        moved = places / times if where == 'asymmetric' else (places + 0.5) / times - 0.5
        if (rounding(moved) != 0).any():
            return False
    return True


# Sums and products, with constants and with each other.


def _with_constant(call, value, array):
    """Return a value, and a constant as a number, or as numbers along the value's last axis in cnnx."""
    array, rank = np.asarray(array), len(value.shape)
    full = (1,) * (rank + 1 - array.ndim) + array.shape
    axes = [axis for axis, size in enumerate(full) if size != 1]
    fits = len(full) == rank + 1 and all(axis > 0 and full[axis] == value.shape[axis - 1] for axis in axes)
    message = f'expected a constant with a number for each channel, got shape {array.shape} for {value.shape}'
    _refuse(not fits or not array.size, message)
    numbers = array.reshape(-1)
    if len(axes) == 1:
        if value.flat is not None:
            return value, numbers[value.order]
        return call.draft.last(value, axes[0] - 1), numbers
    _refuse(len(axes) > 1 and (numbers != numbers[0]).any(), message)
    return value, numbers[0]


def _affine(call, value, array, scale, offset):
    """Return scale value + offset, both functions of a constant: of a number, or of one for each channel."""
    value, numbers = _with_constant(call, value, np.asarray(array, np.float64))
    return call.draft.apply(layers.Rescaling(scale(numbers), offset(numbers)), value)


def _one(numbers):
    return 1.0


def _zero(numbers):
    return 0.0


def _same(numbers):
    return numbers


def _arithmetic(kind, with_constant, swapped=None):
    """Return an operator of two values, or of a value and a constant.

    Args:
        kind: of the layer that merges values, or None.
        with_constant: functions of the constant: (scale, offset).
        swapped: the same where the constant comes first; None where that is not supported.
    """

    def operator(call):
        _refuse(len(call.inputs) != 2, f'expected two inputs, got {len(call.inputs)}')
        a, b = call.inputs
        with np.errstate(all='ignore'):
            if isinstance(a, Value) and isinstance(b, Value):
                _refuse(kind is None, 'expected a constant as the second input')
                if call.node.kind == 'Sub':
                    b = call.draft.apply(layers.Rescaling(-1.0), b)
                return _merge(call, kind, [a, b])
            if isinstance(a, Value):
                return _affine(call, a, call.needed(1, 'constant'), *with_constant)
            _refuse(swapped is None, 'expected a constant as the second input')
            return _affine(call, b, call.needed(0, 'constant'), *swapped)

    return operator


def _merge(call, kind, values):
    """Return the sum or product of values, those with axes of size 1 repeated along them."""
    draft, rank = call.draft, len(values[0].shape)
    _refuse(any(len(value.shape) != rank for value in values), f'expected values of one rank, got {_shapes(values)}')
    shape = tuple(max(sizes) for sizes in zip(*(value.shape for value in values), strict=True))
    fits = all(size in (1, full) for value in values for size, full in zip(value.shape, shape, strict=True))
    _refuse(not fits, f'expected shapes that broadcast, got {_shapes(values)}')
    if all(value.flat == values[0].flat and value.axes == values[0].axes for value in values) and all(
        value.shape == shape for value in values
    ):
        return values[0]._replace(place=draft.add(kind(), *(value.place for value in values)))
    model = max((value for value in values if value.flat is None), key=lambda v: len(v.axes), default=values[0])
    axes = model.axes if len(model.axes) == rank else (*range(1, rank), 0)
    values = [_repeated(draft, draft.arrange(value, axes), shape) for value in values]
    return values[0]._replace(place=draft.add(kind(), *(value.place for value in values)), channels=model.channels)


def _repeated(draft, value, shape):
    """Return images repeated along height and width to fill a shape."""
    if value.shape == shape:
        return value
    times = [shape[axis] // value.shape[axis] for axis in value.axes]
    _refuse(
        len(times) != 3 or times[2] != 1, f'expected shapes that differ in height and width, got {value.shape}, {shape}'
    )
    return value._replace(place=draft.add(layers.UpSampling(tuple(times[:2])), value.place), shape=shape)


def _shapes(values):
    return ' and '.join(str(value.shape) for value in values)


def _sum(call):
    _refuse(not all(isinstance(each, Value) for each in call.inputs), 'expected no constants')
    return call.value() if len(call.inputs) == 1 else _merge(call, layers.Add, call.inputs)


def _concat(call):
    draft, values = call.draft, [call.value(i) for i in range(len(call.inputs))]
    rank = len(values[0].shape)
    axis = checked_axes([call.attribute('axis', 1)], rank + 1)[0] - 1
    _refuse(axis < 0, 'axis: expected another one than that of the batch')
    if len(values) == 1:
        return values[0]
    _refuse(any(len(value.shape) != rank for value in values), f'expected values of one rank, got {_shapes(values)}')
    full = [value for value in values if value.flat is None and len(value.axes) == rank]
    axes = full[0].axes if full else (*range(1, rank), 0)
    values = [draft.arrange(value, axes) for value in values]
    place = draft.add(layers.Concatenate(axes.index(axis)), *(value.place for value in values))
    shape = list(values[0].shape)
    shape[axis] = sum(value.shape[axis] for value in values)
    return values[0]._replace(place=place, shape=tuple(shape))


OPERATORS = {
    'Add': _arithmetic(layers.Add, (_one, _same), (_one, _same)),
    'AveragePool': _pool(layers.AveragePooling, layers.AveragePooling1D),
    'BatchNormalization': _batch_normalization,
    'Cast': _cast,
    'Clip': _clip,
    'Concat': _concat,
    'Constant': None,
    'Conv': _conv,
    'ConvTranspose': _conv_transpose,
    'Div': _arithmetic(None, (lambda numbers: 1 / np.float64(numbers), _zero)),
    'Dropout': _dropout,
    'Elu': _unary(lambda call: layers.ELU(call.attribute('alpha', 1.0))),
    'Erf': _unary(lambda call: Erf()),
    'Flatten': _flatten,
    'Gelu': _gelu,
    'Gemm': _gemm,
    'GlobalAveragePool': _global_pool(layers.GlobalAveragePooling),
    'GlobalMaxPool': _global_pool(layers.GlobalMaxPooling),
    'HardSigmoid': _unary(lambda call: layers.HardSigmoid(call.attribute('alpha', 0.2), call.attribute('beta', 0.5))),
    'HardSwish': _unary(lambda call: layers.HardSwish()),
    'Identity': lambda call: call.value(),
    'InstanceNormalization': _instance_normalization,
    'LayerNormalization': _layer_normalization,
    'LeakyRelu': _unary(lambda call: layers.LeakyReLU(call.attribute('alpha', 0.01))),
    'LogSoftmax': _softmax(layers.LogSoftmax),
    'MatMul': _matmul,
    'MaxPool': _pool(layers.MaxPooling, layers.MaxPooling1D),
    'Mul': _arithmetic(layers.Multiply, (_same, _zero), (_same, _zero)),
    'Neg': _unary(lambda call: layers.Rescaling(-1.0)),
    'PRelu': _prelu,
    'Pad': _pad,
    'ReduceMax': _reduce(layers.GlobalMaxPooling),
    'ReduceMean': _reduce(layers.GlobalAveragePooling),
    'Relu': _unary(lambda call: layers.ReLU()),
    'Reshape': _reshape,
    'Resize': _resize,
    'Selu': _selu,
    'Shape': _shape,
    'Sigmoid': _unary(lambda call: layers.Sigmoid()),
    'Slice': _slice,
    'Softmax': _softmax(layers.Softmax),
    'Softplus': _unary(lambda call: layers.Softplus()),
    'Squeeze': _squeeze(squeezed),
    'Sub': _arithmetic(layers.Add, (_one, np.negative), (lambda numbers: -1.0, _same)),
    'Sum': _sum,
    'Tanh': _unary(lambda call: layers.Tanh()),
    'Transpose': _transpose,
    'Unsqueeze': _squeeze(unsqueezed),
    'Upsample': _resize,
}
