"""Operators of ONNX that change shapes."""

import numpy as np
import pytest

pytest.importorskip('onnx')
pytest.importorskip('onnxruntime')
from onnx_models import IMAGE, check, draw, kinds, model, node


def test_pytorchs_view_of_the_batch_size_is_folded(path):
    nodes = [node('Shape', 'x', 's'), node('Gather', 's zero', 'n', axis=0), node('Unsqueeze', 'n axes', 'u')]
    nodes += [node('Concat', 'u rest', 'shape', axis=0), node('Reshape', 'x shape', 'f'), node('Gemm', 'f w', transB=1)]
    constants = {'zero': np.int64(0), 'axes': np.array([0]), 'rest': np.array([-1]), 'w': draw(4, 126)}
    assert kinds(check(path, model(nodes, IMAGE, constants), IMAGE)) == ['Flatten', 'Dense']


def test_moved_axes_cost_nothing(path):
    nodes = [node('Transpose', 'x', 'a', perm=[0, 2, 3, 1]), node('Relu', 'a', 'b')]
    nodes += [node('Transpose', 'b', 'c', perm=[0, 3, 1, 2]), node('Conv', 'c w')]
    assert kinds(check(path, model(nodes, IMAGE, {'w': draw(2, 3, 1, 1)}), IMAGE)) == ['ReLU', 'Convolutional']


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
