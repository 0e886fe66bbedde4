"""Operators of ONNX that change shapes."""

import numpy as np
import pytest

import cnnx

pytest.importorskip('onnx')
pytest.importorskip('onnxruntime')
from onnx import helper
from onnx_models import IMAGE, check, draw, kinds, load, model, node


def test_pytorchs_view_of_the_batch_size_is_folded(path):
    nodes = [node('Shape', 'x', 's'), node('Gather', 's zero', 'n', axis=0), node('Unsqueeze', 'n axes', 'u')]
    nodes += [node('Concat', 'u rest', 'shape', axis=0), node('Reshape', 'x shape', 'f'), node('Gemm', 'f w', transB=1)]
    constants = {'zero': np.int64(0), 'axes': np.array([0]), 'rest': np.array([-1]), 'w': draw(4, 126)}
    assert kinds(check(path, model(nodes, IMAGE, constants), IMAGE)) == ['Flatten', 'Dense']


def test_moved_axes_cost_nothing(path):
    nodes = [node('Transpose', 'x', 'a', perm=[0, 2, 3, 1]), node('Relu', 'a', 'b')]
    nodes += [node('Transpose', 'b', 'c', perm=[0, 3, 1, 2]), node('Conv', 'c w')]
    assert kinds(check(path, model(nodes, IMAGE, {'w': draw(2, 3, 1, 1)}), IMAGE)) == ['ReLU', 'Convolutional']


@pytest.mark.parametrize('axis', [1, 2, -1])
def test_parts_along_any_axis(path, axis):
    parts = [helper.make_node('Split', ['x', 'sizes'], ['a', 'b', 'c'], axis=axis)]
    proto = model([*parts, node('Concat', 'c a', axis=axis)], (6, 6, 6), {'sizes': np.array([1, 2, 3])})
    check(path, proto, (6, 6, 6))
    halves = [helper.make_node('Split', ['x'], ['a', 'b'], axis=axis), node('Sub', 'b a')]
    check(path, model(halves, (6, 6, 6), opset=11), (6, 6, 6))
    nodes = [node('Slice', 'x two five axes', 's'), node('Conv', 's w')]
    constants = {
        'two': np.array([2]),
        'five': np.array([5]),
        'axes': np.array([axis]),
        'w': draw(4, 3 if axis == 1 else 6, 2, 2),
    }
    check(path, model(nodes, (6, 6, 6), constants), (6, 6, 6))


def test_parts_and_padding_of_rows_and_signals(path):
    for shape in (6,), (4, 6):
        nodes = [helper.make_node('Split', ['x'], ['a', 'b'], axis=-1), node('Mul', 'a b', 'c'), node('Pad', 'c pads')]
        pads = np.array([0, *(1,) * len(shape), 0, *(2,) * len(shape)])
        check(path, model(nodes, shape, {'pads': pads}), shape)
    # After a Flatten, the numbers are in another order.
    nodes = [
        node('Flatten', 'x', 'f'),
        helper.make_node('Split', ['f', 's'], ['a', 'b'], axis=1),
        node('MatMul', 'b w'),
    ]
    check(path, model(nodes, IMAGE, {'s': np.array([100, 26]), 'w': draw(26, 3)}), IMAGE)


@pytest.mark.parametrize(
    ('sizes', 'attributes', 'message'),
    [
        ([3, 4], {'axis': 1}, 'expected sizes that fit 6'),
        ([3, 3], {'axis': 0}, 'that of the batch'),
        ([6], {'axis': 1}, 'fit 6'),
    ],
)
def test_parts_that_do_not_fit(path, sizes, attributes, message):
    proto = model([helper.make_node('Split', ['x', 's'], ['y', 'z'], **attributes)], (6,), {'s': np.array(sizes)})
    with pytest.raises(cnnx.CheckpointError, match=message):
        load(path, proto)


def test_channels_are_shuffled(path):
    nodes = [
        node('Reshape', 'x a', 'b'),
        node('Transpose', 'b', 'c', perm=[0, 2, 1, 3, 4]),
        node('Reshape', 'c d', 'e'),
    ]
    constants = {'a': np.array([0, 2, 2, 5, 6]), 'd': np.array([0, 4, 5, 6]), 'w': draw(2, 4, 3, 3)}
    check(path, model([*nodes, node('Conv', 'e w')], (4, 5, 6), constants), (4, 5, 6))


@pytest.mark.parametrize('keepdims', [0, 1])
def test_means_over_height_and_width(path, keepdims):
    nodes = [
        node('ReduceMean', 'x', 'm', axes=[2, 3], keepdims=keepdims),
        node('Flatten', 'm', 'f'),
        node('Gemm', 'f w'),
    ]
    proto = model(nodes, IMAGE, {'w': draw(3, 2)})
    assert kinds(check(path, proto, IMAGE)) == ['GlobalAveragePooling', 'Dense']


def test_keras_repeats_rows_by_expand(path):
    nodes = [node('Unsqueeze', 'x three', 'u'), node('Expand', 'u times', 'e'), node('Reshape', 'e twice')]
    constants = {'three': np.array([3]), 'times': np.array([1, 1, 1, 2, 1]), 'twice': np.array([0, 3, -1, IMAGE[2]])}
    assert 'UpSampling' in kinds(check(path, model(nodes, IMAGE, constants), IMAGE))
    constants['times'] = np.array([2, 1, 1, 1, 1])
    with pytest.raises(cnnx.CheckpointError, match='expected one that keeps the batch'):
        load(path, model(nodes, IMAGE, constants))
