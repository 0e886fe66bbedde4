"""Sums and products of ONNX."""

import numpy as np
import pytest

pytest.importorskip('onnx')
pytest.importorskip('onnxruntime')
from onnx_models import IMAGE, check, draw, kinds, model, node


@pytest.mark.parametrize(
    'constant', [2.5, draw(3, 1, 1), draw(1, 3, 1, 1), draw(7), np.full((1, 3, 6, 7), 2, np.float32)]
)
@pytest.mark.parametrize('kind', ['Add', 'Sub', 'Mul', 'Div'])
def test_constants_are_added_and_multiplied(path, kind, constant):
    proto = model([node(kind, 'x c')], IMAGE, {'c': np.float32(constant)})
    assert kinds(check(path, proto, IMAGE))[0] in ('Rescaling', 'Permute')
    if kind != 'Div':
        check(path, model([node(kind, 'c x')], IMAGE, {'c': np.float32(constant)}), IMAGE)


def test_constants_fold_into_the_layer_before(path):
    nodes = [node('Conv', 'x w', 'a'), node('Mul', 'a s', 'b'), node('Add', 'b s', 'c'), node('Flatten', 'c', 'd')]
    nodes += [node('MatMul', 'd m', 'e'), node('Add', 'e z')]
    constants = {'w': draw(4, 3, 6, 7), 's': draw(4, 1, 1), 'm': draw(4, 2), 'z': np.zeros(2, np.float32)}
    net = check(path, model(nodes, IMAGE, constants), IMAGE)
    assert kinds(net) == ['Convolutional', 'Flatten', 'Dense']
    assert net.layers[2].use_bias


def test_squeeze_and_excitation_repeats_what_has_one_pixel(path):
    nodes = [
        node('GlobalAveragePool', 'x', 'g'),
        node('Conv', 'g w', 's'),
        node('Sigmoid', 's', 't'),
        node('Mul', 'x t'),
    ]
    net = check(path, model(nodes, IMAGE, {'w': draw(3, 3, 1, 1)}), IMAGE)
    assert kinds(net)[-2:] == ['UpSampling', 'Multiply']


def test_branches(path):
    nodes = [node('Conv', 'x w', 'a', pads=[1, 1, 1, 1]), node('Concat', 'x a', 'b', axis=1), node('Sum', 'b b b', 'c')]
    nodes += [node('Sub', 'c b', 'd'), node('Slice', 'd start end axes', 'e'), node('Pad', 'e pads')]
    constants = {
        'w': draw(3, 3, 3, 3),
        'start': np.array([1, -3]),
        'end': np.array([5, 2**31]),
        'axes': np.array([2, 3]),
    }
    check(path, model(nodes, IMAGE, {**constants, 'pads': np.array([0, 0, 1, 0, 0, 0, 0, 2])}), IMAGE)
