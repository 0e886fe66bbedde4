"""Operators of ONNX that change the shape: Reshape and its like, Pad, Slice, Resize, means over whole images.

Source: https://onnx.ai/onnx/operators/.
"""

import math

import numpy as np

from cnnx import layers
from cnnx.importing.draft import Value
from cnnx.importing.onnx_call import refuse
from cnnx.importing.onnx_constants import BATCH, axes_of, checked_axes, slices_of, squeezed, unsqueezed

# The largest factor of Resize.
MOST_TIMES = 1024


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
    refuse(rank > 3, f'expected images or signals, got {value.shape} beside the batch')
    value = call.draft.arrange(value, [*(other for other in range(rank) if other != axis), axis])
    kept = axis if len(shape) == rank else 0
    return Value(call.draft.add(kind(), value.place), shape, (kept,), None, kept)


def _reduce(kind):
    def reduce(call):
        value, rank = call.value(), len(call.value().shape)
        axes = axes_of(call.node, call.inputs, call.opset)
        refuse(axes is None, 'axes: expected those of height and width, got all')
        axes = checked_axes(axes, rank + 1)
        kept = [axis for axis in range(1, rank + 1) if axis not in axes]
        refuse(0 in axes or len(kept) != 1, f'axes: expected all but those of batch and channels, got {axes}')
        sizes = [1 if axis + 1 in axes else size for axis, size in enumerate(value.shape)]
        shape = tuple(sizes) if call.attribute('keepdims', 1) else value.shape[kept[0] - 1 : kept[0]]
        return _pool_to(call, value, kind, kept[0] - 1, shape)

    return reduce


def _shape(call):
    shape = np.array([BATCH, *call.value().shape], np.int64)
    return shape[call.attribute('start', 0) : call.attribute('end')]


def _flatten(call):
    value, axis = call.value(), call.attribute('axis', 1)
    axis = axis + len(value.shape) + 1 if axis < 0 else axis
    refuse(axis != 1, f'axis: expected 1: the batch stays as it is, got {axis}')
    return call.draft.reshape(value, (math.prod(value.shape),))


def _reshape(call):
    value = call.value()
    target = call.numbers(1, 'shape') if len(call.inputs) > 1 else list(call.attribute('shape', ()))
    refuse(not target, 'shape: expected a constant')
    first, *rest = target
    zero_copies = not call.attribute('allowzero', 0)
    keeps = first in (BATCH, -1) or (first == 0 and zero_copies) or (call.batch is not None and first == call.batch)
    message = f'shape: expected one that keeps the batch, such as (0, -1), got {tuple(target)} for {value.shape}'
    refuse(not keeps or not rest or BATCH in rest, message)
    if zero_copies:
        rest = [value.shape[i] if size == 0 and i < len(value.shape) else size for i, size in enumerate(rest)]
    known = math.prod(size for size in rest if size != -1)
    total = math.prod(value.shape)
    refuse(rest.count(-1) > 1 or min(rest) < -1 or known < 1 or total % known, message)
    shape = tuple(total // known if size == -1 else size for size in rest)
    refuse(math.prod(shape) != total, message)
    return call.draft.reshape(value, shape)


def _transpose(call):
    value, rank = call.value(), len(call.value().shape)
    perm = call.attribute('perm', tuple(range(rank, -1, -1)))
    perm = checked_axes(perm, rank + 1)
    refuse(len(perm) != rank + 1 or perm[0] != 0, f'perm: expected one that keeps the batch first, got {perm}')
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
        refuse(shape[0] != BATCH or len(shape) < 2, 'axes: expected the batch to stay first, with an axis after it')
        return call.draft.reshape(value, shape[1:])

    return squeeze


def _cut_or_padded(call, value, kind, found):
    """Return a value that a ZeroPadding or a Cropping makes smaller or larger.

    `found` are pairs of numbers by axis of the file. Where the last axis in cnnx changes, each axis in turn is made the
    width of an image.
    """
    changed = {axis: pair for axis, pair in found.items() if any(pair)}
    if not changed:
        return value
    draft = call.draft
    value = draft.unflatten(value)
    value = draft.arrange(value, [*value.axes, *(axis for axis in changed if axis not in value.axes)])
    if len(value.axes) == 3 and value.axes[2] not in changed:
        return _reshaped(call, value, kind([changed.get(axis, (0, 0)) for axis in value.axes[:2]]))
    for axis, pair in changed.items():
        sizes, place = value.sizes, value.axes.index(axis)
        outer, inner = sizes[:place], sizes[place + 1 :]
        image = draft.add(layers.Reshape((math.prod(outer), sizes[place], math.prod(inner))), value.place)
        image = draft.add(kind(((0, 0), pair)), image)
        size = draft.shapes[image][1]
        shape = tuple(size if i == axis else other for i, other in enumerate(value.shape))
        value = value._replace(place=draft.add(layers.Reshape((*outer, size, *inner)), image), shape=shape)
    return value


def _reshaped(call, value, layer):
    """Return the value of a layer that changes sizes alone."""
    place = call.draft.add(layer, value.place)
    shape = list(value.shape)
    for axis, size in zip(value.axes, call.draft.shapes[place], strict=True):
        shape[axis] = size
    return value._replace(place=place, shape=tuple(shape))


def _pad(call):
    value, rank = call.value(), len(call.value().shape)
    refuse(call.attribute('mode', 'constant') != 'constant', f'mode: expected constant, got {call.attribute("mode")}')
    if call.opset >= 11:
        pads, number, axes = call.numbers(1, 'pads'), call.array(2, 'constant_value'), call.numbers(3, 'axes')
    else:
        pads, number, axes = list(call.attribute('pads', ())), call.attribute('value', 0.0), None
    refuse(number is not None and np.any(np.asarray(number) != 0), f'value: expected 0, got {number}')
    axes = checked_axes(range(rank + 1) if axes is None else axes, rank + 1)
    refuse(pads is None or len(pads) != 2 * len(axes), f'pads: expected two numbers an axis, got {pads}')
    found = {axis - 1: (pads[i], pads[i + len(axes)]) for i, axis in enumerate(axes)}
    refuse(found.pop(-1, (0, 0)) != (0, 0), 'pads: expected none of the batch')
    cut = min(map(min, found.values())) < 0
    refuse(cut and max(map(max, found.values())) > 0, f'pads: expected all of one sign, got {pads}')
    kind = layers.Cropping if cut else layers.ZeroPadding
    return _cut_or_padded(call, value, kind, {axis: tuple(map(abs, pair)) for axis, pair in found.items()})


def _slice(call):
    value, found = call.value(), {}
    for axis, start, end, step in slices_of(
        call.node, [None, *(call.array(i, 'slice') for i in range(1, len(call.inputs)))]
    ):
        axis = checked_axes([axis], len(value.shape) + 1)[0] - 1
        refuse(step != 1, f'steps: expected 1, got {step}')
        if axis < 0:
            refuse(start != 0 or end < 2**31 - 1, 'axes: expected others than that of the batch')
            continue
        first, last, _ = slice(start, end).indices(value.shape[axis])
        refuse(first >= last, f'nothing is left of axis {axis + 1}')
        found[axis] = (first, value.shape[axis] - last)
    return _cut_or_padded(call, value, layers.Cropping, found)


def _expand(call):
    value = call.value()
    wanted = call.numbers(1, 'shape')
    refuse(wanted is None or len(wanted) > len(value.shape) + 1, f'shape: expected that of a sample, got {wanted}')
    wanted = [1] * (len(value.shape) + 1 - len(wanted)) + wanted
    refuse(wanted[0] not in (1, BATCH) and wanted[0] != call.batch, 'shape: expected one that keeps the batch')
    for axis, (size, times) in enumerate(zip(value.shape, wanted[1:], strict=True)):
        if times in (1, size):
            continue
        refuse(size != 1 or not 1 < times <= MOST_TIMES, f'shape: expected one that {value.shape} fits, got {wanted}')
        value = call.draft.unflatten(value)
        value = call.draft.arrange(value, range(len(value.shape)))
        shape = (*value.shape[:axis], times, *value.shape[axis + 1 :])
        place = call.draft.add(layers.Reshape((math.prod(shape[:axis]), 1, math.prod(shape[axis + 1 :]))), value.place)
        place = call.draft.add(layers.UpSampling((1, times)), place)
        value = value._replace(place=call.draft.add(layers.Reshape(shape), place), shape=shape)
    return value


def _split(call):
    value, rank = call.value(), len(call.value().shape)
    axis = checked_axes([call.attribute('axis', 0)], rank + 1)[0] - 1
    refuse(axis < 0, 'axis: expected another one than that of the batch')
    size, count = value.shape[axis], len(call.node.outputs)
    sizes = call.numbers(1, 'split') if call.opset >= 13 else call.attribute('split')
    if sizes is None:
        sizes = [min(-(-size // count), size - i * -(-size // count)) for i in range(count)]
    refuse(
        len(sizes) != count or min(sizes) < 1 or sum(sizes) != size,
        f'split: expected sizes that fit {size}, got {sizes}',
    )
    ends = np.cumsum(sizes)
    return [
        _cut_or_padded(call, value, layers.Cropping, {axis: (int(end) - part, size - int(end))})
        for part, end in zip(sizes, ends, strict=True)
    ]


def _resize(call):
    value = call.value()
    refuse(len(value.shape) != 3, f'expected images, got {value.shape} beside the batch')
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
    refuse(call.attribute('antialias', 0), 'antialias: expected 0')
    refuse(
        call.attribute('keep_aspect_ratio_policy', 'stretch') != 'stretch', 'keep_aspect_ratio_policy: expected stretch'
    )
    if scales is None:
        refuse(sizes is None or len(sizes) != len(axes), 'expected constant scales or sizes')
        before = (call.batch or sizes[0], *value.shape)
        sizes = [before[0] if size == BATCH else size for size in sizes]
        scales = [size / before[axis] for size, axis in zip(sizes, axes, strict=True)]
    scales = np.asarray(scales, np.float64).reshape(-1)
    times = dict.fromkeys(range(3), 1.0) | {axis - 1: scale for axis, scale in zip(axes, scales, strict=True)}
    fits = all(scale == round(scale) and 1 <= scale <= MOST_TIMES for scale in times.values())
    refuse(
        not fits or times.get(-1, 1) != 1,
        f'scales: expected whole numbers from 1 to {MOST_TIMES}, got {scales.tolist()}',
    )
    last = value.axes[-1] if value.axes and times[value.axes[-1]] == 1 else 0
    refuse(times[last] != 1, f'scales: expected those of height and width alone, got {scales.tolist()}')
    value = call.draft.arrange(value, [*(axis for axis in range(3) if axis != last), last])
    size = tuple(int(times[axis]) for axis in value.axes[:2])
    refuse(
        not _repeats(mode, where, nearest, size, value.sizes), f'{mode}, {where}, {nearest}: not what UpSampling does'
    )
    interpolation = 'nearest' if mode == 'nearest' else 'bilinear'
    if interpolation == 'bilinear':
        most = max(a * a * b for a, b in zip(value.sizes, size, strict=False))
        refuse(most > 2**26, f'expected smaller images, got {value.sizes}')
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


OPERATORS = {
    'Expand': _expand,
    'Flatten': _flatten,
    'GlobalAveragePool': _global_pool(layers.GlobalAveragePooling),
    'GlobalMaxPool': _global_pool(layers.GlobalMaxPooling),
    'Pad': _pad,
    'ReduceMax': _reduce(layers.GlobalMaxPooling),
    'ReduceMean': _reduce(layers.GlobalAveragePooling),
    'Reshape': _reshape,
    'Resize': _resize,
    'Shape': _shape,
    'Slice': _slice,
    'Split': _split,
    'Squeeze': _squeeze(squeezed),
    'Transpose': _transpose,
    'Unsqueeze': _squeeze(unsqueezed),
    'Upsample': _resize,
}
