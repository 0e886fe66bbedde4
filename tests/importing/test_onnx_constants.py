"""Operators on constants and shapes."""

import numpy as np
import pytest

from cnnx.importing.onnx_constants import BATCH, constant, fold, slices_of, squeezed, unsqueezed
from cnnx.importing.onnx_file import Node


def folded(kind, *arrays, **attributes):
    node = Node('', kind, (), ('y',), attributes)
    return fold(node, [np.asarray(array) for array in arrays], 13, 0)


def test_shapes_with_the_batch_are_taken_apart_and_put_together():
    shape = np.array([BATCH, 3, 4])
    assert folded('Gather', shape, 0) == BATCH
    assert folded('Slice', shape, [1], [2**62]).tolist() == [3, 4]
    assert folded('Cast', shape, to=6).tolist() == shape.tolist()
    assert folded('Concat', shape[:1], [-1], axis=0).tolist() == [BATCH, -1]
    assert folded('Mul', shape[1:], 2).tolist() == [6, 8]
    with pytest.raises(ValueError, match='calculations with the size of the batch'):
        folded('Mul', shape, 2)


def test_constants_are_computed_with():
    a = np.arange(6.0).reshape(2, 3)
    assert folded('Transpose', a).shape == (3, 2)
    assert folded('Reshape', a, [0, -1]).shape == (2, 3)
    assert folded('Flatten', a).shape == (2, 3)
    assert folded('Div', np.array([7, 8]), np.array([2, 0])).tolist() == [3, 8]
    assert folded('ConstantOfShape', [2, 2], value=np.array([3.0])).tolist() == [[3, 3], [3, 3]]
    assert folded('Unsqueeze', a, [0, 3]).shape == (1, 2, 3, 1)
    assert folded('Shape', a).tolist() == [2, 3]
    assert folded('Relu', a) is None


def test_constants_may_not_grow_beyond_what_the_file_accounts_for():
    ones = np.ones(2**18)
    with pytest.raises(ValueError, match='more than the file accounts for'):
        folded('Concat', ones, ones, axis=0)
    with pytest.raises(ValueError, match='more than the file accounts for'):
        folded('Add', ones[:, np.newaxis], ones)
    with pytest.raises(ValueError, match='more than the file accounts for'):
        folded('ConstantOfShape', [2**31, 2**31])


def test_constant_nodes():
    for name, value in {'value': np.array([1, 2]), 'value_ints': (1, 2), 'value_floats': (1.0, 2.0)}.items():
        assert constant(Node('', 'Constant', (), ('y',), {name: value})).tolist() == [1, 2]
    with pytest.raises(ValueError, match='expected a constant of numbers'):
        constant(Node('', 'Constant', (), ('y',), {'value_string': 'a'}))


def test_axes_are_added_and_taken_away():
    assert unsqueezed([2, 3], [0, -1]) == [1, 2, 3, 1]
    assert squeezed([1, 2, 1, 3], [-2]) == [1, 2, 3]
    assert squeezed([1, 2, 1, 3], None) == [2, 3]
    with pytest.raises(ValueError, match=r'expected those of size 1 of \(\'N\', 3\)'):
        squeezed([BATCH, 3], [0])
    with pytest.raises(ValueError, match='expected axes of 2, each once'):
        squeezed([1, 1], [0, -2])


def test_slices_come_from_attributes_or_inputs():
    expected = [(0, 1, 5, 1)]
    assert slices_of(Node('', 'Slice', (), ('y',), {'starts': (1,), 'ends': (5,)}), [None]) == expected
    assert slices_of(Node('', 'Slice', (), ('y',), {}), [None, np.array([1]), np.array([5])]) == expected
    with pytest.raises(ValueError, match='expected constant starts and ends'):
        slices_of(Node('', 'Slice', (), ('y',), {}), [None])


def test_what_keras_computes_with_sizes():
    assert folded('Mod', [5, -5], [3, 3]).tolist() == [2, 1]
    assert folded('Mod', [5, -5], [3, 3], fmod=1).tolist() == [2, -2]
    assert folded('Neg', [1, 2]).tolist() == [-1, -2]
    assert folded('Where', folded('Equal', [1, 2], [1, 3]), [4, 4], [5, 5]).tolist() == [4, 5]
    with pytest.raises(ValueError, match='calculations with the size of the batch'):
        folded('Neg', [BATCH])
