"""ONNX files of other programs as networks: what comes in, what comes out, and what is trained."""

from pathlib import Path

import numpy as np
import pytest
from graph_networks import random_graph

import cnnx

onnx = pytest.importorskip('onnx')
pytest.importorskip('onnxruntime')
from onnx_models import channels_last, draw, kinds, load, model, node, run  # noqa: E402
from onnx_networks import randomize  # noqa: E402

W = np.random.default_rng(0).normal(size=(2, 3, 3, 3)).astype(np.float32)


@pytest.mark.parametrize('layout', ['NHWC', 'NCHW'])
def test_lenet5_comes_back_as_it_was(path, layout):
    net = cnnx.models.pretrained('lenet5-mnist')
    net.class_names = list('0123456789')
    net.export(path, layout=layout)
    other = cnnx.load(path)
    assert kinds(other) == kinds(net)
    assert all(
        (a.value == b.value).all() for a, b in zip(other.parameters.values(), net.parameters.values(), strict=True)
    )
    assert other.class_names == net.class_names


@pytest.mark.parametrize('seed', range(12))
def test_random_networks_come_back(path, seed):
    net = randomize(random_graph(seed, dtype='float32'), seed)
    net.export(path, layout=('NHWC', 'NCHW')[seed % 2], opset=(13, 20)[seed % 3 == 0])
    x = np.random.default_rng(seed).normal(size=(3, 7, 6, 2)).astype(np.float32)
    expected = net.predict(x)
    np.testing.assert_allclose(cnnx.Network.load(path).predict(x), expected, atol=1e-5 * np.abs(expected).max())


def test_a_file_of_pytorch_gives_what_pytorch_gave():
    files = Path(__file__).parent / 'files'
    net = cnnx.load(files / 'torch.onnx')
    with np.load(files / 'outputs.npz') as outputs:
        assert net.check_against(outputs['x'], outputs['torch'], tolerance=1e-5)


def test_what_was_loaded_is_trained_and_saved(path, tmp_path):
    nodes = [node('Conv', 'x w', 'c'), node('BatchNormalization', 'c a b d e', 'n'), node('Relu', 'n', 'r')]
    nodes += [node('Flatten', 'r', 'f'), node('Gemm', 'f m', 'g'), node('Softmax', 'g')]
    constants = {'w': W, **dict.fromkeys('abde', np.float32([1, 2])), 'm': np.ones((32, 2), np.float32)}
    net = load(path, model(nodes, (3, 6, 6), constants))
    net.compile(cnnx.CategoricalCrossEntropy(), 'adam')
    x = np.random.default_rng(0).random((20, 6, 6, 3))
    history = net.train(x, np.arange(20) % 2, epochs=2, learning_rate=0.01, verbose=0)
    assert history['loss'][1] < history['loss'][0]
    net.save(tmp_path / 'net.npz')
    assert (cnnx.Network.load(tmp_path / 'net.npz').predict(x) == net.predict(x)).all()


def test_images_come_in_and_out_with_the_channels_last(path):
    x = np.random.default_rng(0).random((2, 3, 5, 6), np.float32)
    nchw = model([node('Conv', 'x w')], (3, 5, 6), {'w': W})
    nhwc = [node('Transpose', 'x', 'a', perm=[0, 3, 1, 2]), node('Conv', 'a w', 'b')]
    nhwc = model([*nhwc, node('Transpose', 'b', perm=[0, 2, 3, 1])], (5, 6, 3), {'w': W})
    for proto in (nchw, nhwc):
        net = load(path, proto)
        assert (net.input_shape, kinds(net)) == ((5, 6, 3), ['Convolutional'])
        np.testing.assert_allclose(net.predict(channels_last(x)), channels_last(run(nchw, x)), rtol=1e-5, atol=1e-6)


def test_scaling_before_the_first_transpose_stays_a_layer(path):
    nodes = [node('Sub', 'x m', 'a'), node('Div', 'a d', 'b'), node('Transpose', 'b', 'c', perm=[0, 3, 1, 2])]
    constants = {'m': np.float32([1, 2, 3]), 'd': np.float32(2), 'w': W}
    net = load(path, model([*nodes, node('Conv', 'c w')], (5, 6, 3), constants))
    assert kinds(net) == ['Rescaling', 'Convolutional']
    np.testing.assert_allclose(net.layers[0].offset, [-0.5, -1, -1.5])


def test_a_graph_of_identity_alone_loads(path):
    x = np.random.default_rng(0).random((2, 5, 6, 3), np.float32)
    assert (load(path, model([node('Identity', 'x')], (3, 5, 6))).predict(x) == x).all()


def test_sizes_that_are_left_open_have_to_be_given(path):
    proto = model([node('Conv', 'x w')], (3, 'h', 'w'), {'w': W})
    with pytest.raises(cnnx.CheckpointError, match='are left open; give input_shape='):
        load(path, proto)
    assert load(path, proto, input_shape=(5, 6, 3)).layers[-1].shape == (3, 4, 2)
    with pytest.raises(cnnx.CheckpointError, match='does not fit the input'):
        load(path, proto, input_shape=(5, 6, 4))


def test_fused_is_as_given(path):
    proto = model([node('Conv', 'x w')], (3, 5, 6), {'w': W})
    assert load(path, proto).fused
    assert not load(path, proto, fused=False).fused


def test_outputs_that_do_not_depend_on_the_input_are_refused(path):
    with pytest.raises(cnnx.CheckpointError, match="output 'y' does not depend on the input"):
        load(path, model([node('Identity', 'w')], (3, 5, 6), {'w': W}))


def test_padding_and_shapes_before_the_first_transpose_keep_the_channels_last(path):
    x = np.random.default_rng(0).random((2, 5, 6, 3), np.float32)
    nodes = [node('Shape', 'x', 's'), node('Pad', 'x pads', 'a'), node('Transpose', 'a', 'c', perm=[0, 3, 1, 2])]
    constants = {'pads': np.array([0, 1, 1, 0, 0, 1, 1, 0]), 'w': W}
    proto = model([*nodes, node('Conv', 'c w')], (5, 6, 3), constants)
    net = load(path, proto)
    assert net.input_shape == (5, 6, 3)
    np.testing.assert_allclose(net.predict(x), channels_last(run(proto, x)), rtol=1e-5, atol=1e-6)


def test_images_that_are_flattened_at_once_have_the_channels_last_where_the_sizes_or_input_shape_say_so(path):
    x = np.random.default_rng(0).random((2, 5, 6, 1), np.float32)
    nodes = [node('Flatten', 'x', 'f'), node('MatMul', 'f w')]
    proto = model(nodes, (5, 6, 1), {'w': draw(30, 2)})
    net = load(path, proto)
    assert net.input_shape == (5, 6, 1)
    np.testing.assert_allclose(net.predict(x), run(proto, x), rtol=1e-5, atol=1e-6)
    path.write_bytes(model(nodes, (3, 5, 2), {'w': draw(30, 2)}).SerializeToString())
    assert cnnx.load(path).input_shape == (5, 2, 3)
    assert cnnx.load(path, input_shape=(3, 5, 2)).input_shape == (3, 5, 2)


@pytest.mark.parametrize('shape', [(3, 4, 1), (3, 3, 3)])
def test_a_convolution_says_that_channels_come_first(path, shape):
    proto = model([node('Conv', 'x w')], shape, {'w': W[..., :1, :1]})
    sizes = (*shape[1:], shape[0])
    assert load(path, proto).input_shape == sizes
    assert load(path, proto, input_shape=sizes).input_shape == sizes


def test_an_input_that_is_too_large_is_refused(path):
    proto = model([node('Flatten', 'x')], (3, 2**15, 2**15), {})
    with pytest.raises(cnnx.CheckpointError, match='expected at most 67,108,864 numbers in a sample'):
        load(path, proto)
