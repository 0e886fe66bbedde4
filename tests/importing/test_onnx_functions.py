"""Dense layers and functions of numbers of ONNX."""

import numpy as np
import pytest

pytest.importorskip('onnx')
pytest.importorskip('onnxruntime')
from onnx_models import IMAGE, check, draw, kinds, model, node


def test_the_first_dense_layer_is_reordered_and_a_permute_keeps_what_else_sees_the_order(path):
    nodes = [node('Relu', 'x', 'r'), node('Flatten', 'r', 'f'), node('Sigmoid', 'f', 's'), node('Gemm', 's w')]
    constants = {'w': draw(126, 4)}
    assert kinds(check(path, model(nodes, IMAGE, constants), IMAGE)) == ['ReLU', 'Flatten', 'Sigmoid', 'Dense']
    assert kinds(check(path, model(nodes[:2], IMAGE, output='f'), IMAGE)) == ['ReLU', 'Permute', 'Flatten']
    check(path, model(nodes[:3], IMAGE, output='s'), IMAGE)


@pytest.mark.parametrize('halved', ['before', 'after', 'sum'])
def test_gelu_is_recognized_in_its_parts(path, halved):
    nodes = [node('Mul', 'x r', 'a'), node('Erf', 'a', 'b'), node('Add', 'b one', 'c')]
    if halved == 'before':
        nodes += [node('Mul', 'x half', 'h'), node('Mul', 'h c')]
    elif halved == 'sum':
        nodes += [node('Mul', 'c half', 'h'), node('Mul', 'x h')]
    else:
        nodes += [node('Mul', 'x c', 'h'), node('Mul', 'h half')]
    constants = {'r': np.float32(np.sqrt(0.5)), 'one': np.float32(1), 'half': np.float32(0.5)}
    assert kinds(check(path, model(nodes, IMAGE, constants), IMAGE)) == ['GELU']
