"""Weights of PyTorch and Keras, from files that these wrote (make_files.py)."""

from pathlib import Path

import numpy as np
import pytest

import cnnx
from cnnx.importing.weights import looks_like

FILES = Path(__file__).parent / 'files'
NEEDS = {'.h5': 'pyfive', '.safetensors': 'safetensors', '.npz': 'numpy'}


def of_keras(**settings):
    return cnnx.Network(
        [
            cnnx.Convolutional(3, 3, padding='same', input_shape=(6, 6, 2)),
            cnnx.BatchNormalization(epsilon=1e-3),
            cnnx.ReLU(),
            cnnx.Convolutional(6, 3, groups=3),
            cnnx.TransposedConvolutional(2, 3, stride=2, padding='same'),
            cnnx.PReLU(),
            cnnx.MaxPooling(4),
            cnnx.Flatten(),
            cnnx.Dense(6),
            cnnx.Dense(6, use_bias=False),
            cnnx.LayerNormalization(),
            cnnx.Softmax(),
        ],
        **settings,
    )


def of_torch(outputs=5, **settings):
    return cnnx.Network(
        [
            cnnx.Convolutional(3, 3, padding='same', input_shape=(6, 6, 2)),
            cnnx.BatchNormalization(),
            cnnx.ReLU(),
            cnnx.Convolutional(6, 3, groups=3),
            cnnx.PReLU(),
            cnnx.TransposedConvolutional(4, 2, stride=2),
            cnnx.Flatten(),
            cnnx.BatchNormalization(),
            cnnx.Dense(outputs),
            cnnx.Softmax(),
        ],
        **settings,
    )


NETWORKS = {'keras': of_keras, 'torch': of_torch}
ALL = ['keras.weights.h5', 'keras.h5', 'keras.npz', 'torch.safetensors', 'torch.npz']


def file(name):
    pytest.importorskip(NEEDS[Path(name).suffix])
    return FILES / name


@pytest.mark.parametrize('name', ALL)
def test_outputs_are_those_of_the_other_library(name):
    layout = name.partition('.')[0]
    net = NETWORKS[layout](seed=1)
    net.load_weights(file(name), layout=layout)
    with np.load(FILES / 'outputs.npz') as outputs:
        assert net.check_against(outputs['x'], outputs[layout], tolerance=1e-5)


@pytest.mark.parametrize('name', [name for name in ALL if name != 'keras.npz'])
def test_without_a_layout_the_error_says_which_it_is(name):
    layout = name.partition('.')[0]
    net = NETWORKS[layout](seed=1)
    before = net.predict(np.ones((1, 6, 6, 2)))
    with pytest.raises(cnnx.CheckpointError, match=f"give layout='{layout}'"):
        net.load_weights(file(name))
    assert (net.predict(np.ones((1, 6, 6, 2))) == before).all()


def test_what_does_not_fit_is_named_on_both_sides():
    with pytest.raises(
        cnnx.CheckpointError,
        match=r'\(Dense\): expected weight \(7, 256\), bias \(7,\); left in the file: .*'
        r'classifier\.0\.weight \(5, 256\), classifier\.0\.bias \(5,\)',
    ):
        of_torch(7).load_weights(FILES / 'torch.npz', layout='torch')
    net = cnnx.Network(of_torch().layers[:0])
    net = cnnx.Network([cnnx.Convolutional(3, 3, padding='same', input_shape=(6, 6, 2)), cnnx.BatchNormalization()])
    with pytest.raises(cnnx.CheckpointError, match=r'no layer is left for features\.3\.weight \(6, 1, 3, 3\)'):
        net.load_weights(FILES / 'torch.npz', layout='torch')
    with pytest.raises(ValueError, match='layout: expected one of torch, keras, or None'):
        net.load_weights(FILES / 'torch.npz', layout='jax')


def test_biases_of_two_axes_are_squeezed(tmp_path):
    w = np.arange(6.0).reshape(2, 3)
    np.savez(tmp_path / 'w.npz', **{'a.weight': w, 'a.bias': np.ones((2, 1))})
    net = cnnx.Network([cnnx.Dense(3, 2)])
    net.load_weights(tmp_path / 'w.npz', layout='torch')
    assert (net.layers[0].weights == w.T).all()
    assert net.layers[0].bias.tolist() == [1, 1]


def test_flattened_branches_that_are_put_together_are_reordered(tmp_path):
    x = cnnx.Input((2, 2, 3))
    flat = [cnnx.Flatten()(cnnx.ReLU()(x)), cnnx.Flatten()(x)]
    net = cnnx.Network(inputs=x, outputs=cnnx.Dense(1, use_bias=False)(cnnx.Concatenate()(flat)))
    np.savez(tmp_path / 'w.npz', **{'weight': np.arange(24.0).reshape(1, 24)})
    net.load_weights(tmp_path / 'w.npz', layout='torch')
    order = np.arange(12).reshape(3, 4).T.reshape(-1)
    assert net.layers[-1].weights[:, 0].tolist() == [*order, *(order + 12)]


@pytest.mark.parametrize('layout', [None, 'torch', 'keras'])
@pytest.mark.parametrize('ending', ['npz', 'safetensors'])
@pytest.mark.parametrize('make', NETWORKS.values(), ids=NETWORKS)
def test_weights_go_to_a_file_of_a_layout_and_back(tmp_path, make, ending, layout):
    if ending == 'safetensors':
        pytest.importorskip('safetensors')
    net, other, path = make(seed=1), make(seed=2), tmp_path / f'w.{ending}'
    net.save_weights(path, layout=layout)
    other.load_weights(path, layout=layout)
    assert all(
        (a.value == b.value).all() for a, b in zip(net.parameters.values(), other.parameters.values(), strict=True)
    )


def test_names_of_other_libraries_are_known():
    assert looks_like(['conv1.weight']) == 'torch'
    assert looks_like(['conv2d/kernel:0']) == 'keras'
    assert looks_like(['weights_0', 'bias_0']) is None
