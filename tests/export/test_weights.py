"""Weights for other libraries: what files of PyTorch and Keras have."""

import sys

import numpy as np
import pytest

import cnnx
from cnnx.export.weights import named


@pytest.fixture
def net():
    layers = [cnnx.Convolutional(2, 3, input_shape=(4, 4, 1)), cnnx.ReLU(), cnnx.Flatten(), cnnx.Dense(3)]
    return cnnx.Network(layers, seed=0)


def test_names_and_shapes_are_those_of_a_sequential(net):
    shapes = {name: array.shape for name, array in named(net, 'torch').items()}
    assert shapes == {'0.weight': (2, 1, 3, 3), '0.bias': (2,), '3.weight': (3, 8), '3.bias': (3,)}
    assert list(named(net, 'keras')) == ['0/kernel', '0/bias', '3/kernel', '3/bias']


def test_files_are_read_by_their_own_libraries(net, tmp_path):
    net.save_weights(tmp_path / 'w.npz', layout='torch')
    with np.load(tmp_path / 'w.npz') as file:
        assert (file['0.weight'] == net.layers[0].weights.transpose(3, 2, 0, 1)).all()
    numpy = pytest.importorskip('safetensors.numpy')
    net.save_weights(tmp_path / 'w.safetensors', layout='torch')
    arrays = numpy.load_file(tmp_path / 'w.safetensors')
    assert (arrays['3.weight'] == named(net, 'torch')['3.weight']).all()


def test_pytorch_computes_the_same(net, tmp_path):
    torch = pytest.importorskip('torch')
    nn = torch.nn
    net.save_weights(tmp_path / 'w.npz', layout='torch')
    other = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3))
    with np.load(tmp_path / 'w.npz') as file:
        other.load_state_dict({name: torch.from_numpy(file[name]) for name in file.files if name != 'description'})
    x = np.random.default_rng(0).random((5, 4, 4, 1), np.float32)
    expected = other(torch.from_numpy(x).movedim(-1, 1)).detach().numpy()
    np.testing.assert_allclose(net.predict(x), expected, rtol=1e-5, atol=1e-6)


def test_what_cannot_be_written_is_refused(net, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match='layout: expected one of torch, keras, or None'):
        net.save_weights(tmp_path / 'w.npz', layout='jax')
    with pytest.raises(ValueError, match='is the name of a file of Keras'):
        net.save_weights(tmp_path / 'w.h5', layout='keras')
    monkeypatch.setitem(sys.modules, 'safetensors', None)
    with pytest.raises(ImportError, match=r'pip install "cnnx\[safetensors\]"'):
        net.save_weights(tmp_path / 'w.safetensors')
