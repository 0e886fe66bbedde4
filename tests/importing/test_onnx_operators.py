"""Operators of ONNX as layers: the tests of the onnx package, older forms, and what is made of several operators."""

from collections import Counter

import numpy as np
import pytest

import cnnx

pytest.importorskip('onnx')
pytest.importorskip('onnxruntime')
import onnx_node_tests
from onnx_models import check, kinds, load, model, node

IMAGE = (3, 6, 7)


def draw(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


@pytest.fixture
def path(tmp_path):
    return tmp_path / 'model.onnx'


def test_the_node_tests_of_onnx_pass_or_are_refused_with_a_reason(path):
    results = {name: onnx_node_tests.result(path, *case) for name, _, *case in onnx_node_tests.cases()}
    counts = Counter(found if found in ('passed', 'failed') else 'refused' for found in results.values())
    assert counts['failed'] == 0, [name for name, found in results.items() if found == 'failed']
    assert counts['passed'] >= 140
    assert results['test_conv_with_autopad_same'] == results['test_maxpool_2d_same_lower'] == 'passed'
    assert results['test_gemm_transposeA'].endswith('transA: expected 0: the first axis is that of the batch')


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


def test_the_first_dense_layer_is_reordered_and_a_permute_keeps_what_else_sees_the_order(path):
    nodes = [node('Relu', 'x', 'r'), node('Flatten', 'r', 'f'), node('Sigmoid', 'f', 's'), node('Gemm', 's w')]
    constants = {'w': draw(126, 4)}
    assert kinds(check(path, model(nodes, IMAGE, constants), IMAGE)) == ['ReLU', 'Flatten', 'Sigmoid', 'Dense']
    assert kinds(check(path, model(nodes[:2], IMAGE, output='f'), IMAGE)) == ['ReLU', 'Permute', 'Flatten']
    check(path, model(nodes[:3], IMAGE, output='s'), IMAGE)


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


def test_squeeze_and_excitation_repeats_what_has_one_pixel(path):
    nodes = [
        node('GlobalAveragePool', 'x', 'g'),
        node('Conv', 'g w', 's'),
        node('Sigmoid', 's', 't'),
        node('Mul', 'x t'),
    ]
    net = check(path, model(nodes, IMAGE, {'w': draw(3, 3, 1, 1)}), IMAGE)
    assert kinds(net)[-2:] == ['UpSampling', 'Multiply']


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


@pytest.mark.parametrize('keepdims', [0, 1])
def test_means_over_height_and_width(path, keepdims):
    nodes = [
        node('ReduceMean', 'x', 'm', axes=[2, 3], keepdims=keepdims),
        node('Flatten', 'm', 'f'),
        node('Gemm', 'f w'),
    ]
    proto = model(nodes, IMAGE, {'w': draw(3, 2)})
    assert kinds(check(path, proto, IMAGE)) == ['GlobalAveragePooling', 'Dense']


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
