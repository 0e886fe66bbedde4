"""Operators of ONNX on constants and on shapes, which are computed while a file is read: PyTorch's view(x.size(0), -1).

A shape is an array in which BATCH stands for the size of the batch. Source: https://onnx.ai/onnx/operators/.
"""

import math

import numpy as np

BATCH = -(2**62)
# Numbers; small files may have so many in a constant, whatever their size.
SMALL = 2**18
CALCULATIONS = {
    'Add': np.add,
    'Sub': np.subtract,
    'Mul': np.multiply,
    'Div': np.divide,
    'Mod': np.mod,
    'Equal': np.equal,
}
KINDS = {1: 'float32', 2: 'uint8', 3: 'int8', 6: 'int32', 7: 'int64', 9: 'bool', 10: 'float32', 11: 'float64'}


def fold(node, arrays, opset, most):
    """Return what a node gives for constants, or None where this is not an operator that is folded.

    Args:
        node: a `Node`.
        arrays: its inputs; None for those that are left out.
        opset: of the file.
        most: how many numbers the result may have.

    Raises:
        ValueError: the node does not fit the arrays, or gives more numbers.
    """
    if node.kind not in FOLDED:
        return None
    if not arrays or arrays[0] is None:
        raise ValueError('its first input is missing')
    if node.kind in CALCULATIONS or node.kind == 'Where':
        size = math.prod(np.broadcast_shapes(*(array.shape for array in arrays)))
    elif node.kind == 'ConstantOfShape':
        size = math.prod(int(size) for size in arrays[0])
    elif node.kind == 'Concat':
        size = sum(array.size for array in arrays)
    else:
        size = arrays[0].size if node.kind != 'Gather' else math.prod(arrays[0].shape[1:]) * arrays[1].size
    if size > max(most, SMALL):
        raise ValueError(f'a constant of {size:,} numbers is more than the file accounts for')
    with np.errstate(all='ignore'):
        return FOLDED[node.kind](node, arrays, opset)


def constant(node):
    """Return the array of a Constant node."""
    for name, dtype in (('value', None), ('value_float', 'f4'), ('value_floats', 'f4'), ('value_int', 'i8')):
        if name in node.attributes:
            return np.asarray(node.attributes[name], dtype)
    if 'value_ints' in node.attributes:
        return np.asarray(node.attributes['value_ints'], 'i8')
    raise ValueError('expected a constant of numbers')


def axes_of(node, arrays, opset):
    """Return the axes of Squeeze, Unsqueeze or a reduction: from an attribute, or the second input; None for none."""
    if 'axes' in node.attributes:
        return [int(axis) for axis in node.attributes['axes']]
    if len(arrays) > 1 and arrays[1] is not None:
        return [int(axis) for axis in np.asarray(arrays[1]).reshape(-1)]
    return None


def slices_of(node, arrays):
    """Return [(axis, start, end, step), ...] of a Slice: from attributes, or from constant inputs."""
    names = ('starts', 'ends', 'axes', 'steps')
    given = [node.attributes.get(name) for name in names]
    for i, array in enumerate(arrays[1:5]):
        given[i] = None if array is None else [int(number) for number in np.asarray(array).reshape(-1)]
    starts, ends, axes, steps = given
    if starts is None or ends is None:
        raise ValueError('expected constant starts and ends')
    axes = range(len(starts)) if axes is None else axes
    steps = [1] * len(starts) if steps is None else steps
    return list(zip(axes, starts, ends, steps, strict=True))


def checked_axes(axes, rank):
    """Return axes counted from 0, or raise a ValueError unless they are axes of that rank, each once."""
    found = [axis + rank if axis < 0 else axis for axis in axes]
    if len(set(found)) < len(found) or not all(0 <= axis < rank for axis in found):
        raise ValueError(f'axes: expected axes of {rank}, each once, got {list(axes)}')
    return found


def unsqueezed(shape, axes):
    """Return a shape with axes of size 1 added at these places of the result."""
    axes, shape = set(checked_axes(axes, len(shape) + len(axes))), list(shape)
    return [1 if axis in axes else shape.pop(0) for axis in range(len(shape) + len(axes))]


def squeezed(shape, axes):
    """Return a shape without these axes of size 1, or without all of them."""
    axes = [i for i, size in enumerate(shape) if size == 1] if axes is None else checked_axes(axes, len(shape))
    if any(shape[axis] != 1 for axis in axes):
        sizes = tuple('N' if size == BATCH else size for size in shape)
        raise ValueError(f'axes: expected those of size 1 of {sizes}, got {axes}')
    return [size for axis, size in enumerate(shape) if axis not in axes]


def _calculate(node, arrays, opset):
    a, b = arrays[:2]
    if any(array.dtype.kind == 'i' and (array == BATCH).any() for array in (a, b)):
        raise ValueError('calculations with the size of the batch are not supported')
    if node.kind == 'Mod' and node.attributes.get('fmod', 0):
        return np.fmod(a, b)
    if node.kind == 'Div' and a.dtype.kind in 'iu' and b.dtype.kind in 'iu':
        return a // np.where(b == 0, 1, b)
    return CALCULATIONS[node.kind](a, b)


def _gather(node, arrays, opset):
    axis = checked_axes([node.attributes.get('axis', 0)], arrays[0].ndim)[0]
    if arrays[0].ndim != 1:
        raise ValueError('Gather of constants is supported along shapes alone')
    return np.take(arrays[0], arrays[1], axis=axis)


def _slice(node, arrays, opset):
    array = arrays[0]
    for axis, start, end, step in slices_of(node, arrays):
        axis = checked_axes([axis], array.ndim)[0]
        if step == 0:
            raise ValueError('steps: expected other numbers than 0')
        array = array[(slice(None),) * axis + (slice(start, end if abs(end) < 2**31 else None, step),)]
    return array


def _reshape(node, arrays, opset):
    target = [int(size) for size in (arrays[1] if len(arrays) > 1 else node.attributes['shape'])]
    if not node.attributes.get('allowzero', 0):
        target = [arrays[0].shape[i] if size == 0 and i < arrays[0].ndim else size for i, size in enumerate(target)]
    return arrays[0].reshape(target)


def _cast(node, arrays, opset):
    kind = node.attributes.get('to')
    if kind not in KINDS:
        raise ValueError(f'to: expected a type of numbers, got {kind!r}')
    if (arrays[0].dtype.kind == 'i') and (arrays[0] == BATCH).any():
        return arrays[0]
    return arrays[0].astype(KINDS[kind])


def _transpose(node, arrays, opset):
    return arrays[0].transpose(node.attributes.get('perm'))


FOLDED = {
    **dict.fromkeys(CALCULATIONS, _calculate),
    'Cast': _cast,
    'Concat': lambda node, arrays, opset: np.concatenate(arrays, axis=node.attributes['axis']),
    'ConstantOfShape': lambda node, arrays, opset: np.full(
        arrays[0].tolist(), np.asarray(node.attributes.get('value', np.float32(0))).reshape(-1)[0]
    ),
    'Flatten': lambda node, arrays, opset: arrays[0].reshape(
        math.prod(arrays[0].shape[: node.attributes.get('axis', 1)]), -1
    ),
    'Gather': _gather,
    'Identity': lambda node, arrays, opset: arrays[0],
    'Neg': lambda node, arrays, opset: _calculate(
        node._replace(kind='Mul'), [arrays[0], np.array(-1, arrays[0].dtype)], opset
    ),
    'Reshape': _reshape,
    'Shape': lambda node, arrays, opset: np.array(arrays[0].shape, np.int64),
    'Slice': _slice,
    'Squeeze': lambda node, arrays, opset: arrays[0].reshape(squeezed(arrays[0].shape, axes_of(node, arrays, opset))),
    'Transpose': _transpose,
    'Where': lambda node, arrays, opset: np.where(*arrays),
    'Unsqueeze': lambda node, arrays, opset: arrays[0].reshape(
        unsqueezed(arrays[0].shape, axes_of(node, arrays, opset) or [])
    ),
}
