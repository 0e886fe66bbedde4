"""Networks as ONNX files: ONNX Runtime computes the same, in every layout and opset."""

import importlib
import json
import sys

import numpy as np
import pytest
from graph_networks import random_graph

import cnnx

onnx = pytest.importorskip('onnx')
pytest.importorskip('onnxruntime')
from onnx_networks import difference, of_kind, randomize, run  # noqa: E402

from cnnx.export.onnx import OPSETS, to_bytes  # noqa: E402


@pytest.mark.parametrize('seed', range(20))
def test_random_networks(seed):
    net = randomize(random_graph(seed, dtype='float32'), seed)
    x = np.random.default_rng(seed).normal(size=(3, 7, 6, 2)).astype(np.float32)
    options = {'layout': ('NHWC', 'NCHW')[seed % 2], 'fold': seed % 3 == 0, 'opset': OPSETS[seed % len(OPSETS)]}
    assert difference(net, x, **options) < 1e-5


EXAMPLES = [
    *(
        ('architectures', name, (0,))
        for name in ('logistic_regression', 'resnet', 'inception', 'mobilenet', 'densenet')
    ),
    *(('detection', 'yolo', (64, 8, 0)), ('detection', 'ssd', (64, 8, 0)), ('segmentation', 'unet', (0, 32))),
    *(('counting', 'multi_label_network', (0,)), ('signals', 'make_network', (0,)), ('gan', 'new_generator', (0,))),
]


@pytest.mark.parametrize(('module', 'name', 'arguments'), EXAMPLES, ids=[row[1] for row in EXAMPLES])
def test_networks_of_the_examples_give_the_same_classes(module, name, arguments, tmp_path):
    net = getattr(importlib.import_module(f'examples.{module}'), name)(*arguments)
    net = net[0] if isinstance(net, tuple) else net
    rng = np.random.default_rng(0)
    for layer in net.layers:
        for parameter in layer.parameters:
            if not parameter.value.any():  # the last layers of detectors begin at 0
                parameter.value = rng.normal(size=parameter.value.shape)
    x = rng.random((8, *net.input_shape), np.float32)
    y = run(to_bytes(net), x)
    assert (y.argmax(axis=-1) == net.predict(x).argmax(axis=-1)).all()
    net.export(tmp_path / 'net.onnx', layout='NCHW')
    assert (cnnx.load(tmp_path / 'net.onnx').predict(x).argmax(axis=-1) == y.argmax(axis=-1)).all()


def test_lenet5_reorders_the_weights_after_flatten_and_nothing_else():
    net, x = cnnx.models.lenet5(seed=0), np.random.default_rng(0).random((5, 28, 28, 1), np.float32)
    assert not of_kind(to_bytes(net, layout='NCHW'), 'Transpose', 'Gather', 'Reshape')
    assert len(of_kind(to_bytes(net), 'Transpose')) == 1
    assert len(of_kind(to_bytes(net), 'Gather', 'Reshape')) == 0
    for layout in ('NHWC', 'NCHW'):
        assert difference(net, x, layout=layout) < 1e-5


@pytest.mark.parametrize(
    'layers',
    [
        [cnnx.Flatten(), cnnx.BatchNormalization(), cnnx.PReLU(), cnnx.Dense(4)],
        [cnnx.Flatten(), cnnx.GroupNormalization(4), cnnx.Rescaling([*range(24)], [*range(24)])],
        [cnnx.Flatten(), cnnx.LayerNormalization(), cnnx.Softmax()],
        [cnnx.Flatten(), cnnx.Reshape((4, 3, 2)), cnnx.Permute((1, 0, 2)), cnnx.Convolutional(2, 2)],
        [cnnx.Reshape((12, 2)), cnnx.Convolutional1D(3, 2, padding='same'), cnnx.GlobalMaxPooling()],
    ],
)
@pytest.mark.parametrize('layout', ['NHWC', 'NCHW'])
def test_the_order_after_flatten_is_kept(layers, layout):
    description = [type(layer)(**layer.settings()) for layer in layers]
    net = randomize(cnnx.Network([cnnx.Convolutional(2, 1, input_shape=(3, 4, 2)), *description], seed=0), 0)
    assert difference(net, np.random.default_rng(0).random((5, 3, 4, 2), np.float32), layout=layout) < 1e-5


def test_branches_that_are_flattened_merge_in_order():
    x = cnnx.Input((3, 4, 2))
    h, g = cnnx.Flatten()(x), cnnx.Flatten()(cnnx.ReLU()(x))
    y = cnnx.Concatenate()([cnnx.Add()([h, g]), cnnx.Dense(24)(h)])
    net = cnnx.Network(inputs=x, outputs=y, seed=0)
    assert difference(net, np.random.default_rng(0).normal(size=(5, 3, 4, 2)).astype(np.float32)) < 1e-5


def test_folding_takes_batch_normalization_away():
    layers = [cnnx.Convolutional(3, 2, use_bias=False, input_shape=(4, 4, 2)), cnnx.BatchNormalization(), cnnx.ReLU()]
    layers += [cnnx.TransposedConvolutional(4, 2), cnnx.BatchNormalization(), cnnx.Flatten(), cnnx.Dense(3)]
    net = randomize(cnnx.Network([*layers, cnnx.BatchNormalization()], seed=0), 0)
    content = to_bytes(net, fold=True)
    assert not of_kind(content, 'BatchNormalization')
    assert len(of_kind(to_bytes(net), 'BatchNormalization')) == 3
    assert difference(net, np.random.default_rng(0).random((5, 4, 4, 2), np.float32), fold=True) < 1e-5


def test_what_the_file_says(tmp_path):
    net = cnnx.models.lenet5(seed=0)
    net.class_names = [f'digit {i}' for i in range(10)]
    net.export(tmp_path / 'net.onnx', pixels='-1 to 1')
    model = onnx.load(tmp_path / 'net.onnx')
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert (model.ir_version, model.opset_import[0].version) == (8, 13)
    assert json.loads(metadata['classes']) == list(net.class_names)
    assert (metadata['pixels'], metadata['layout'], metadata['cnnx']) == ('-1 to 1', 'NHWC', cnnx.__version__)
    assert [size.dim_param or size.dim_value for size in model.graph.input[0].type.tensor_type.shape.dim] == [
        *('batch', 28, 28, 1)
    ]


def test_equal_networks_make_equal_files():
    assert to_bytes(cnnx.models.lenet5(seed=0)) == to_bytes(cnnx.models.lenet5(seed=0))


def test_a_float64_network_is_written_in_float32():
    net = cnnx.models.lenet5(seed=0, dtype='float64')
    assert difference(net, np.random.default_rng(0).random((5, 28, 28, 1), np.float32)) < 1e-5


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'opset': 12}, 'opset: expected a whole number from 13 to'),
        ({'opset': True}, 'opset: expected'),
        ({'layout': 'CHWN'}, 'layout: expected one of NHWC, NCHW'),
        ({'fold': 'yes'}, 'fold: expected True or False'),
        ({'pixels': 255}, 'pixels: expected a text'),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        to_bytes(cnnx.models.lenet5(seed=0), **options)


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, 'onnx', None)
    with pytest.raises(ImportError, match=r'pip install "cnnx\[onnx\]"'):
        cnnx.models.lenet5(seed=0).export('net.onnx')


def test_a_network_without_layers_is_refused():
    with pytest.raises(ValueError, match='the network has no layers'):
        to_bytes(cnnx.Network())
