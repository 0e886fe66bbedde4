"""Every kind of layer in operators of ONNX: ONNX Runtime computes the same."""

import numpy as np
import pytest
from layer_cases import MERGING, ROWS, example

import cnnx
from cnnx.layers import LAYERS

pytest.importorskip('onnx')
pytest.importorskip('onnxruntime')
from onnx_networks import difference, of_kind, randomize

from cnnx.export.onnx import to_bytes


@pytest.mark.parametrize('layout', ['NHWC', 'NCHW'])
@pytest.mark.parametrize('kind', ROWS)
def test_every_layer(kind, layout):
    layer, shape = example(kind)
    layer.input_shape = shape
    net = randomize(cnnx.Network([layer], seed=0), 0)
    x = np.random.default_rng(1).normal(size=(3, *shape)).astype(np.float32)
    for opset in (13, 20):
        assert difference(net, x, layout=layout, opset=opset) < 1e-5


@pytest.mark.parametrize('kind', sorted(MERGING))
def test_every_layer_that_merges(kind):
    x = cnnx.Input((3, 4, 2))
    y = LAYERS[kind]()([cnnx.ReLU()(x), x, cnnx.Tanh()(x)])
    net = cnnx.Network(inputs=x, outputs=y)
    assert difference(net, np.random.default_rng(1).normal(size=(3, 3, 4, 2)).astype(np.float32)) < 1e-5


POOLINGS = {
    'numbers': {'pool_size': 3, 'stride': 2, 'padding': 1},
    'sides': {'pool_size': (3, 2), 'stride': (2, 1), 'padding': ((0, 2), (1, 0))},
    'ceil': {'pool_size': 3, 'stride': 2, 'padding': 1, 'ceil_mode': True},
    'dilated': {'pool_size': 2, 'stride': 1, 'padding': 1, 'dilation': (2, 3)},
    'dilated, ceil': {'pool_size': 3, 'stride': 3, 'padding': 1, 'dilation': 2, 'ceil_mode': True},
}


@pytest.mark.parametrize('settings', POOLINGS.values(), ids=POOLINGS)
def test_every_kind_of_padding_of_pooling(settings):
    x = np.random.default_rng(1).normal(size=(3, 8, 9, 2)).astype(np.float32)
    for layer in (
        cnnx.MaxPooling(**settings, input_shape=(8, 9, 2)),
        cnnx.AveragePooling(**settings, input_shape=(8, 9, 2)),
        cnnx.AveragePooling(**settings, count_include_pad=True, input_shape=(8, 9, 2)),
    ):
        assert difference(cnnx.Network([layer]), x) < 1e-5


def test_transposed_convolutions_of_every_size():
    for kernel, stride, padding in [(3, 2, 'same'), (2, 3, 'same'), (2, 3, 'valid'), (4, 2, 'valid'), (5, 2, (1, 2))]:
        layer = cnnx.TransposedConvolutional(3, kernel, stride=stride, padding=padding, input_shape=(4, 3, 2))
        x = np.random.default_rng(0).normal(size=(2, 4, 3, 2)).astype(np.float32)
        assert difference(cnnx.Network([layer], seed=0), x) < 1e-5


def test_newer_operators_are_used_from_their_opset_on():
    net = cnnx.Network([cnnx.HardSwish(input_shape=(3,)), cnnx.GELU()])
    assert [len(of_kind(to_bytes(net, opset=opset), 'HardSwish', 'Gelu')) for opset in (13, 14, 20)] == [0, 1, 2]


def test_layers_of_the_users_own_are_refused():
    class Double(cnnx.Layer):
        def forward(self, x, training=False):
            return 2 * x

    with pytest.raises(ValueError, match=r'layer 0 \(Double\): export knows the layers of cnnx'):
        to_bytes(cnnx.Network([Double(input_shape=(3,))]))
