"""Weights of PyTorch and Keras, from files that these wrote (make_files.py)."""

from pathlib import Path

import numpy as np
import pytest

import cnnx
from cnnx.importing.weights import looks_like, match

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


def graph(**settings):
    """A branch of two layers beside one of two; Keras has those of the second one first, since Add reads it first."""
    x = cnnx.Input((4, 4, 2))
    y = cnnx.BatchNormalization()(cnnx.Convolutional(2, 3, padding='same')(x))
    short = cnnx.BatchNormalization()(cnnx.Convolutional(2, 1)(x))
    return cnnx.Network(inputs=x, outputs=cnnx.Add()([short, y]), **settings)


def of_branches(kinds):
    """What Keras writes of that network, by kind or in its order; gamma is 1 in the short branch, else 2."""
    kernels = [np.zeros((1, 1, 2, 2)), np.zeros((3, 3, 2, 2))]
    arrays = {}
    for i, end in enumerate(('', '_1')):
        norms = {f'layers/batch_normalization{end}/vars/{place}': np.full(2, i + 1.0) for place in range(4)}
        convolutions = {f'layers/conv2d{end}/vars/0': kernels[i], f'layers/conv2d{end}/vars/1': np.zeros(2)}
        arrays.update({**norms, **convolutions})
    if kinds:
        return dict(sorted(arrays.items()))
    return dict(sorted(arrays.items(), key=lambda item: ('batch' in item[0], item[0])))


@pytest.mark.parametrize('kinds', [True, False])
def test_branches_are_taken_in_the_order_of_keras(kinds, tmp_path):
    net, arrays = graph(), of_branches(kinds)
    found = match(net, arrays, 'keras')
    assert (found['gamma_1'] == 2).all()
    assert (found['gamma_3'] == 1).all()
    np.savez(tmp_path / 'w.npz', *of_branches(False).values())  # as by get_weights
    net.load_weights(tmp_path / 'w.npz', layout='keras')
    assert net.layers[1].parameters[0].value.tolist() == [2, 2]


def test_branches_of_a_file_of_cnnx_are_in_the_order_of_their_numbers(tmp_path):
    x = cnnx.Input((4, 4, 2))
    y, short = cnnx.Convolutional(2, 1)(x), cnnx.Convolutional(2, 1)(x)
    net = cnnx.Network(inputs=x, outputs=cnnx.Add()([short, y]), seed=1)
    before = net.layers[0].weights.copy()
    net.save_weights(tmp_path / 'w.npz', layout='keras')
    net.layers[0].weights[...] = 0
    net.load_weights(tmp_path / 'w.npz', layout='keras')
    assert (net.layers[0].weights == before).all()


def test_a_separable_convolution_of_keras_is_two_layers():
    depthwise, pointwise, bias = np.ones((3, 3, 2, 1)), np.full((1, 1, 2, 4), 2.0), np.full(4, 3.0)
    net = cnnx.Network(
        [cnnx.Convolutional(2, 3, groups=2, use_bias=False, input_shape=(4, 4, 2)), cnnx.Convolutional(4, 1)]
    )
    newer = {f'layers/separable_conv2d/vars/{i}': each for i, each in enumerate((depthwise, pointwise, bias))}
    older = {'sep/bias': bias, 'sep/depthwise_kernel': depthwise, 'sep/pointwise_kernel': pointwise}
    for arrays in newer, older:
        found = match(net, arrays, 'keras')
        assert found['weights_0'].shape == (3, 3, 1, 2)
        assert (found['weights_1'] == 2).all()
        assert (found['bias_1'] == 3).all()


def test_kernels_of_as_many_groups_as_channels_have_two_shapes_in_keras():
    net = cnnx.Network([cnnx.Convolutional(4, 3, groups=2, use_bias=False, input_shape=(4, 4, 2))])
    numbers = np.arange(36.0)
    for shape in (3, 3, 2, 2), (3, 3, 1, 4):
        found = match(net, {'layers/conv2d/vars/0': numbers.reshape(shape)}, 'keras')
        assert (found['weights_0'].reshape(-1) == numbers).all()


def test_one_alpha_of_keras_is_taken(tmp_path):
    net = cnnx.Network([cnnx.PReLU(input_shape=(2, 2, 1))])
    assert match(net, {'layers/p_re_lu/vars/0': np.full((1, 1, 1), 0.5)}, 'keras') == {'alpha_0': [0.5]}
    net.save_weights(tmp_path / 'w.npz', layout='keras')
    with np.load(tmp_path / 'w.npz') as arrays:
        assert arrays['0/alpha'].shape == (1, 1, 1)
