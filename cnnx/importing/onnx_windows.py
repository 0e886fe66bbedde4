"""Operators of ONNX that move a window over images or signals: convolutions and pooling.

Source: https://onnx.ai/onnx/operators/.
"""

import numpy as np

from cnnx import layers
from cnnx._util.validation import MAX_SIZE
from cnnx.importing.draft import Value
from cnnx.importing.onnx_call import refuse


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
    refuse(axes not in (1, 2), f'weights: expected those of images or signals, got shape {weights.shape}')
    refuse(len(value.shape) != axes + 1, f'expected {axes + 1} axes beside the batch, got {value.shape}')
    weights = weights.reshape(*weights.shape[:2], *(1, *weights.shape[2:])[-2:])
    return value, weights.transpose(2, 3, 1, 0), bias, axes


def _kernel(call, kernel):
    shape = call.attribute('kernel_shape')
    refuse(shape is not None and (1, *shape)[-2:] != kernel, f'kernel_shape: expected {kernel}, got {shape}')
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
    refuse(call.attribute('group', 1) != 1, 'group: expected 1: a TransposedConvolutional has no groups')
    refuse(set(call.attribute('dilations', (1,))) != {1}, 'dilations: expected 1: a TransposedConvolutional has none')
    value, kernel, stride = _as_images(call, value), _kernel(call, weights.shape[:2]), _pair(call, 'strides')
    more = _pair(call, 'output_padding', 0)
    cut = _cut_off(call, value.sizes, kernel, stride, more)
    refuse(min(before for before, _ in cut) < 0, f'pads: expected numbers from 0 on, got {cut}')
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
    refuse(
        not fits or min(pair) < default or max(pair) > MAX_SIZE, f'{name}: expected one number an axis, got {numbers}'
    )
    return pair


def _two_of_each(pads):
    """Return pads as ((top, bottom), (left, right))."""
    pads = (0, 0, 0, 0) if pads is None else tuple(pads)
    pads = (0, pads[0], 0, pads[1]) if len(pads) == 2 else pads
    refuse(
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


def _pool(kind, of_signals):
    def pool(call):
        value, kernel = call.value(), call.attribute('kernel_shape', ())
        axes = len(kernel)
        refuse(axes not in (1, 2), f'kernel_shape: expected that of images or signals, got {kernel}')
        refuse(len(value.shape) != axes + 1, f'expected {axes + 1} axes beside the batch, got {value.shape}')
        kernel, sizes = (1, *kernel)[-2:], _sizes(value)
        stride, dilation = _pair(call, 'strides'), _pair(call, 'dilations')
        sides = _sides(call, sizes, kernel, stride, dilation)
        if len(call.inputs) > 1:  # of a Pad
            pads = call.numbers(1, 'pads')
            refuse(pads is None or len(pads) != 2 * axes + 4, f'pads: expected two numbers an axis, got {pads}')
            refuse(any(pads[:2] + pads[axes + 2 : axes + 4]), f'pads: expected those of height and width, got {pads}')
            sides = _two_of_each((*pads[2 : axes + 2], *pads[axes + 4 :]))
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


OPERATORS = {
    'AveragePool': _pool(layers.AveragePooling, layers.AveragePooling1D),
    'Conv': _conv,
    'ConvTranspose': _conv_transpose,
    'MaxPool': _pool(layers.MaxPooling, layers.MaxPooling1D),
}
