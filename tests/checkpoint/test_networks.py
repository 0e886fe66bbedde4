"""Files of a network: with its architecture, or the weights alone."""

import tracemalloc
from functools import partial

import numpy as np
import pytest
from models import bits, small_data, small_network

from cnnx import (
    CheckpointError,
    Convolutional,
    Dense,
    Flatten,
    MaxPooling,
    MeanSquaredError,
    Network,
    Sigmoid,
    checkpoint,
)
from cnnx.checkpoint.state import arrays, describe
from cnnx.initializers import normal


def test_weights_go_to_a_file_and_back(tmp_path):
    net, other, path = small_network(0), small_network(1), tmp_path / 'weights'
    net.save_weights(path)
    with np.load(path) as file:
        assert set(file.files) == {'weights_0', 'bias_0', 'weights_4', 'bias_4', 'description'}
    other.load_weights(path)
    assert bits(other) == bits(net)


@pytest.mark.parametrize('dtype', ['float16', 'float64', '>f4'])
def test_weights_of_any_float_are_read(tmp_path, dtype):
    net = small_network()
    arrays = {name: parameter.value.astype(dtype) for name, parameter in net.parameters.items()}
    np.savez(tmp_path / 'w.npz', **arrays)
    other = small_network(1)
    other.load_weights(tmp_path / 'w.npz')
    for name, parameter in other.parameters.items():
        assert (parameter.value == arrays[name].astype('float32')).all()


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda a: a.pop('bias_4'), r'layer 4 \(Dense\): expected bias_4 of shape \(3,\), found none'),
        (
            lambda a: a.update(weights_0=np.zeros((3, 3, 1, 2))),
            r'layer 0 \(Convolutional\): expected weights_0 of shape \(3, 3, 1, 3\), got \(3, 3, 1, 2\)',
        ),
        (lambda a: a.update(weights_4=np.zeros((12, 3), int)), r'layer 4 \(Dense\).*to hold floats, got int64'),
        (lambda a: a.update(weights_7=np.zeros(3)), 'found weights_7, for which this network has no layer'),
    ],
)
def test_the_wrong_weights_are_refused_and_change_nothing(tmp_path, change, message):
    net = small_network()
    arrays = {name: parameter.value + 1 for name, parameter in net.parameters.items()}
    change(arrays)
    np.savez(tmp_path / 'w.npz', **arrays)
    before = bits(net)
    with pytest.raises(CheckpointError, match=message):
        net.load_weights(tmp_path / 'w.npz')
    assert bits(net) == before


def test_a_network_goes_to_a_file_and_back(tmp_path):
    net, (x, y) = small_network(), small_data()
    net.train(x, y, epochs=2, verbose=0)
    net.save(tmp_path / 'net.npz')
    loaded = Network.load(tmp_path / 'net.npz')
    assert bits(loaded) == bits(net)
    assert loaded.evaluate(x, y) == net.evaluate(x, y)
    assert describe(loaded) == describe(net)
    assert loaded.optimizer.momentum == 0.9
    twin = small_network(1)
    twin.load_weights(tmp_path / 'net.npz')
    assert bits(twin) == bits(net)


def test_a_checkpoint_of_a_run_is_a_file_of_its_network(tmp_path):
    net = small_network()
    net.train(*small_data(), epochs=2, verbose=0, checkpoint_dir=tmp_path, checkpoint_prefix='run')
    assert bits(Network.load(tmp_path / 'run_epoch_2.npz')) == bits(net)


def test_every_setting_of_a_layer_survives_a_file(tmp_path):
    net = Network(seed=0, dtype='float64')
    net.add(Convolutional(2, (3, 2), stride=(1, 2), padding='same', input_shape=(5, 6, 1), kernel_initializer='zeros'))
    net.add(Sigmoid())
    net.add(MaxPooling((2, 1), stride=1))
    net.add(Flatten())
    net.add(Dense(output_size=2, kernel_initializer=partial(normal, standard_deviation=0.3)))
    net.save(tmp_path / 'net.npz')
    loaded = Network.load(tmp_path / 'net.npz')
    assert repr(loaded.layers) == repr(net.layers)
    assert loaded.dtype == 'float64'
    assert loaded.loss is None


def test_files_that_are_no_networks(tmp_path):
    small_network().save_weights(tmp_path / 'weights.npz')
    with pytest.raises(CheckpointError, match='holds no architecture'):
        Network.load(tmp_path / 'weights.npz')
    (tmp_path / 'text.npz').write_text('hello')
    for load in (Network.load, small_network().load_weights):
        with pytest.raises(CheckpointError, match='not an .npz file'):
            load(tmp_path / 'text.npz')
        with pytest.raises(FileNotFoundError, match='nowhere'):
            load(tmp_path / 'nowhere.npz')
    with pytest.raises(FileNotFoundError, match='nowhere'):
        small_network().save(tmp_path / 'nowhere' / 'net.npz')


def ask_for_much(description):
    description['architecture']['layers'][0]['output_size'] = 10**8


def forget_layers(description):
    description['architecture']['layers'] = []


def ask_for_a_wide_window(description):
    layer = {'kind': 'MaxPooling', 'pool_size': 2**70, 'input_shape': [3, 3, 1]}
    description['architecture']['layers'][0] = {**layer, 'trainable': True, 'frozen_parameters': []}


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (ask_for_much, r'expected weights_0 of shape \(2, 100000000\), found \(2, 3\)'),
        (forget_layers, 'found bias_0, weights_0, for which this network has no layer'),
        (ask_for_a_wide_window, 'pool_size: expected at most 2147483647'),
    ],
)
def test_a_description_that_is_not_of_the_arrays_beside_it_is_refused_before_it_takes_memory(tmp_path, change, message):
    net = Network(seed=0)
    net.add(Dense(2, 3))
    net.compile(MeanSquaredError())
    description = describe(net)
    change(description)
    checkpoint.write(tmp_path / 'net.npz', arrays(net), description)
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError, match=message):
            Network.load(tmp_path / 'net.npz')
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10_000_000
