"""The table of operators: the tests of the onnx package, older forms, and what is refused."""

from collections import Counter

import numpy as np
import pytest

import cnnx

pytest.importorskip('onnx')
pytest.importorskip('onnxruntime')
import onnx_node_tests
from onnx_models import IMAGE, check, draw, load, model, node


@pytest.mark.slow
def test_the_node_tests_of_onnx_pass_or_are_refused_with_a_reason(path):
    results = {name: onnx_node_tests.result(path, *case) for name, _, *case in onnx_node_tests.cases()}
    counts = Counter(found if found in ('passed', 'failed') else 'refused' for found in results.values())
    assert counts['failed'] == 0, [name for name, found in results.items() if found == 'failed']
    assert counts['passed'] >= 140
    assert results['test_conv_with_autopad_same'] == results['test_maxpool_2d_same_lower'] == 'passed'
    assert results['test_gemm_transposeA'].endswith('transA: expected 0: the first axis is that of the batch')


# Older forms of operators, by the last opset that has them.
OLD = {
    'Clip 6': (10, [node('Clip', 'x', min=0.0, max=6.0)], {}),
    'Clip 6, as in HardTanh': (10, [node('Clip', 'x', min=-1.0, max=1.0)], {}),
    'Dropout 7': (11, [node('Dropout', 'x', ratio=0.3)], {}),
    'Pad 2': (10, [node('Pad', 'x', pads=[0, 0, 1, 2, 0, 0, 0, 1])], {}),
    'Slice 1': (9, [node('Slice', 'x', starts=[1, 0], ends=[4, 2], axes=[2, 3])], {}),
    'Softmax 1': (12, [node('Softmax', 'x')], {}),
    'Softmax 1, last axis': (12, [node('LogSoftmax', 'x', axis=3)], {}),
    'Squeeze 1': (12, [node('Unsqueeze', 'x', 'a', axes=[1]), node('Squeeze', 'a', axes=[1])], {}),
    'Upsample 7': (8, [node('Upsample', 'x', scales=[1.0, 1.0, 2.0, 3.0])], {}),
    'Upsample 9': (9, [node('Upsample', 'x s')], {'s': np.array([1, 1, 2, 3], np.float32)}),
    'Resize 10': (10, [node('Resize', 'x s')], {'s': np.array([1, 1, 2, 3], np.float32)}),
    'BatchNormalization 7': (
        7,
        [node('BatchNormalization', 'x a b c d')],
        dict.fromkeys('abcd', np.float32([1, 2, 3])),
    ),
    'Gemm 7': (7, [node('Flatten', 'x', 'f'), node('Gemm', 'f w b')], {'w': draw(126, 2), 'b': draw(1, 2)}),
    'PRelu 7': (7, [node('PRelu', 'x s')], {'s': draw(3, 1, 1)}),
}


@pytest.mark.parametrize('name', OLD)
def test_older_forms(path, name):
    opset, nodes, constants = OLD[name]
    check(path, model(nodes, IMAGE, constants, opset), IMAGE)


REFUSED = {
    'operator': ([node('Einsum', 'x', 'e', equation='ijkl->il')], 'not supported; those that are: Add, AveragePool'),
    'batch': ([node('Flatten', 'x', 'e', axis=2)], 'axis: expected 1: the batch stays as it is'),
    'weights': ([node('Conv', 'x x', 'e')], 'weights: expected a constant'),
    'Erf': ([node('Erf', 'x', 'e')], 'Erf is supported as a part of Gelu alone'),
    'place': ([node('Add', 'x c', 'e')], 'expected a constant with a number for each channel'),
    'huge': ([node('Pad', 'x p', 'e')], 'expected at most 67,108,864 numbers in a sample'),
    'cubic': ([node('Resize', 'x  s', 'e', mode='cubic')], 'cubic'),
}


@pytest.mark.parametrize('name', REFUSED)
def test_what_is_not_supported_is_named(path, name):
    nodes, message = REFUSED[name]
    if name == 'cubic':
        nodes[0].input[:] = ['x', '', 's']
    constants = {'c': draw(6, 7), 'p': np.array([0, 0, 2**30, 0, 0, 0, 0, 0]), 's': np.float32([1, 1, 2, 2])}
    with pytest.raises(cnnx.CheckpointError, match=message) as error:
        load(path, model(nodes, IMAGE, constants, output='e'))
    assert "node 'e'" in str(error.value) or name == 'Erf'
