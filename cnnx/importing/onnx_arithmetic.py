"""Sums, products and concatenations of ONNX: of values with each other, and with constants.

Source: https://onnx.ai/onnx/operators/.
"""

import numpy as np

from cnnx import layers
from cnnx.importing.draft import Value
from cnnx.importing.onnx_call import refuse, with_constant
from cnnx.importing.onnx_constants import checked_axes


def _affine(call, value, array, scale, offset):
    """Return scale value + offset, both functions of a constant: of a number, or of one for each channel."""
    value, numbers = with_constant(call, value, np.asarray(array, np.float64))
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
        refuse(len(call.inputs) != 2, f'expected two inputs, got {len(call.inputs)}')
        a, b = call.inputs
        with np.errstate(all='ignore'):
            if isinstance(a, Value) and isinstance(b, Value):
                refuse(kind is None, 'expected a constant as the second input')
                if call.node.kind == 'Sub':
                    b = call.draft.apply(layers.Rescaling(-1.0), b)
                return _merge(call, kind, [a, b])
            if isinstance(a, Value):
                return _affine(call, a, call.needed(1, 'constant'), *with_constant)
            refuse(swapped is None, 'expected a constant as the second input')
            return _affine(call, b, call.needed(0, 'constant'), *swapped)

    return operator


def _merge(call, kind, values):
    """Return the sum or product of values, those with axes of size 1 repeated along them."""
    draft, rank = call.draft, len(values[0].shape)
    refuse(any(len(value.shape) != rank for value in values), f'expected values of one rank, got {_shapes(values)}')
    shape = tuple(max(sizes) for sizes in zip(*(value.shape for value in values), strict=True))
    fits = all(size in (1, full) for value in values for size, full in zip(value.shape, shape, strict=True))
    refuse(not fits, f'expected shapes that broadcast, got {_shapes(values)}')
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
    refuse(
        len(times) != 3 or times[2] != 1, f'expected shapes that differ in height and width, got {value.shape}, {shape}'
    )
    return value._replace(place=draft.add(layers.UpSampling(tuple(times[:2])), value.place), shape=shape)


def _shapes(values):
    return ' and '.join(str(value.shape) for value in values)


def _sum(call):
    refuse(not all(isinstance(each, Value) for each in call.inputs), 'expected no constants')
    return call.value() if len(call.inputs) == 1 else _merge(call, layers.Add, call.inputs)


def _concat(call):
    draft, values = call.draft, [call.value(i) for i in range(len(call.inputs))]
    rank = len(values[0].shape)
    axis = checked_axes([call.attribute('axis', 1)], rank + 1)[0] - 1
    refuse(axis < 0, 'axis: expected another one than that of the batch')
    if len(values) == 1:
        return values[0]
    refuse(any(len(value.shape) != rank for value in values), f'expected values of one rank, got {_shapes(values)}')
    full = [value for value in values if value.flat is None and len(value.axes) == rank]
    axes = full[0].axes if full else (*range(1, rank), 0)
    values = [draft.arrange(value, axes) for value in values]
    place = draft.add(layers.Concatenate(axes.index(axis)), *(value.place for value in values))
    shape = list(values[0].shape)
    shape[axis] = sum(value.shape[axis] for value in values)
    return values[0]._replace(place=place, shape=tuple(shape))


OPERATORS = {
    'Add': _arithmetic(layers.Add, (_one, _same), (_one, _same)),
    'Concat': _concat,
    'Div': _arithmetic(None, (lambda numbers: 1 / np.float64(numbers), _zero)),
    'Mul': _arithmetic(layers.Multiply, (_same, _zero), (_same, _zero)),
    'Sub': _arithmetic(layers.Add, (_one, np.negative), (lambda numbers: -1.0, _same)),
    'Sum': _sum,
}
