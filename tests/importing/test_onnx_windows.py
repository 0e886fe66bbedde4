"""Convolutions and pooling of ONNX."""

import numpy as np
import pytest

import cnnx

pytest.importorskip('onnx')
pytest.importorskip('onnxruntime')
from onnx_models import IMAGE, check, draw, kinds, model, node

CONVOLUTIONS = {
    'pads': {'pads': [1, 2, 1, 2]},
    'uneven pads': {'pads': [0, 1, 2, 0], 'strides': [2, 1]},
    'same': {'auto_pad': 'SAME_UPPER', 'strides': [2, 2]},
    'same, lower': {'auto_pad': 'SAME_LOWER', 'strides': [2, 2]},
    'valid': {'auto_pad': 'VALID', 'dilations': [2, 1]},
}


@pytest.mark.parametrize('settings', CONVOLUTIONS.values(), ids=CONVOLUTIONS)
def test_convolutions(path, settings):
    proto = model([node('Conv', 'x w b', **settings)], IMAGE, {'w': draw(4, 3, 3, 2), 'b': draw(4)})
    check(path, proto, IMAGE)


def test_grouped_convolutions(path):
    proto = model([node('Conv', 'x w', group=3, pads=[1, 1, 1, 1])], IMAGE, {'w': draw(6, 1, 3, 3)})
    assert check(path, proto, IMAGE).layers[0].is_depthwise


@pytest.mark.parametrize('pads', [[1, 1], [2, 0]])
def test_signals(path, pads):
    nodes = [
        node('Conv', 'x w b', 'c', pads=pads, strides=[2]),
        node('MaxPool', 'c', 'p', kernel_shape=[2], pads=[0, 1]),
    ]
    nodes += [node('AveragePool', 'p', 'a', kernel_shape=[2]), node('Flatten', 'a', 'f'), node('MatMul', 'f w2')]
    proto = model(nodes, (2, 12), {'w': draw(4, 2, 3), 'b': draw(4), 'w2': draw(20, 3)})
    assert kinds(check(path, proto, (2, 12)))[-1] == 'Dense'


TRANSPOSED = {
    'all': {'strides': [2, 2]},
    'PyTorch': {'strides': [2, 2], 'pads': [1, 1, 1, 1], 'output_padding': [1, 1]},
    'more output padding than padding': {'strides': [3, 3], 'output_padding': [2, 1]},
    'uneven': {'strides': [2, 1], 'pads': [0, 1, 2, 0]},
    'same': {'strides': [2, 2], 'auto_pad': 'SAME_UPPER'},
}


@pytest.mark.parametrize('settings', TRANSPOSED.values(), ids=TRANSPOSED)
def test_transposed_convolutions(path, settings):
    proto = model([node('ConvTranspose', 'x w b', **settings)], IMAGE, {'w': draw(3, 4, 3, 3), 'b': draw(4)})
    check(path, proto, IMAGE)


POOLINGS = {
    'uneven': {'pads': [0, 1, 1, 0], 'strides': [2, 2]},
    'ceil': {'ceil_mode': 1, 'strides': [2, 3]},
    'padding counts': {'pads': [1, 1, 1, 1], 'count_include_pad': 1},
    'same, lower': {'auto_pad': 'SAME_LOWER', 'strides': [2, 2]},
}


@pytest.mark.parametrize('kind', ['MaxPool', 'AveragePool'])
@pytest.mark.parametrize('settings', POOLINGS.values(), ids=POOLINGS)
def test_poolings(path, kind, settings):
    if kind == 'MaxPool':
        settings = {name: value for name, value in settings.items() if name != 'count_include_pad'}
    check(path, model([node(kind, 'x', kernel_shape=[3, 2], **settings)], IMAGE), IMAGE)


def test_a_maximum_over_copied_edges_is_pooling_with_padding(path):
    nodes = [node('Pad', 'x pads', 'p', mode='edge'), node('MaxPool', 'p', kernel_shape=[3, 3], strides=[2, 2])]
    constants = {'pads': np.array([0, 0, 0, 1, 0, 0, 1, 1])}
    assert kinds(check(path, model(nodes, IMAGE, constants), IMAGE)) == ['MaxPooling']
    nodes[1] = node('AveragePool', 'p', kernel_shape=[3, 3], strides=[2, 2])
    with pytest.raises(cnnx.CheckpointError, match='mode: expected constant, got edge'):
        check(path, model(nodes, IMAGE, constants), IMAGE)
