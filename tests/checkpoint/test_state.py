"""What a network is, as arrays and JSON: files of another network, of other layers, or of no network are refused."""

import time
import tracemalloc

import numpy as np
import pytest
from models import bits, small_data, small_network

import cnnx
from cnnx import CheckpointError, checkpoint


@pytest.fixture
def path(tmp_path):
    return tmp_path / 'model.npz'


def train(net, **options):
    return net.train(*small_data(22), **({'epochs': 3, 'batch_size': 8, 'learning_rate': 0.05, 'verbose': 0} | options))


def names(folder):
    return sorted(path.name for path in folder.glob('*.npz'))


def craft(path, **description):
    """Change what a checkpoint says, and seal it again."""
    arrays, found = checkpoint.read(path)
    checkpoint.write(path, arrays, found | description)


@pytest.mark.parametrize('names', [5, 'abc', [1, 2, 3], ['a', 'a', 'b'], []])
def test_names_of_classes_that_are_none_are_refused(tmp_path, names):
    net = small_network()
    net.class_names = ('a', 'b', 'c')
    train(net, checkpoint_dir=tmp_path, epochs=1)
    craft(tmp_path / 'model_epoch_1.npz', class_names=names)
    with pytest.raises(CheckpointError, match='model_epoch_1.npz: .*class_names: expected'):
        cnnx.Network.load(tmp_path / 'model_epoch_1.npz')


@pytest.mark.parametrize(
    'state',
    [
        {'bit_generator': 'MT19937', 'state': {'key': [1] * 624, 'pos': 10**6}},
        {'bit_generator': 'MT19937', 'state': {'key': [1] * 624, 'pos': -1}},
        {'bit_generator': 'MT19937', 'state': {'key': [1] * 600, 'pos': 1}},
        {'bit_generator': 'Philox', 'state': {'counter': [1] * 4, 'key': [1] * 2}, 'buffer': [1] * 4, 'buffer_pos': -9,
         'has_uint32': 0, 'uinteger': 0},
        {'bit_generator': 'SFC64', 'state': {'state': [1, 2]}, 'has_uint32': 0, 'uinteger': 0},
        {'bit_generator': 'Generator', 'state': {}}, {'bit_generator': 'seed', 'state': {}}, {}, None, 'PCG64',
    ],
    ids=lambda state: str(state)[:40],
)  # fmt: skip
def test_a_generator_of_someone_else_is_refused(tmp_path, state):
    train(small_network(), epochs=1, checkpoint_dir=tmp_path)
    craft(tmp_path / 'model_epoch_1.npz', generator=state)
    with pytest.raises(CheckpointError, match='not a checkpoint of this network'):
        train(small_network(), checkpoint_dir=tmp_path, resume_from_checkpoint=True)


def test_a_checkpoint_that_lacks_a_part_is_refused_and_changes_nothing(tmp_path):
    train(small_network(), epochs=1, checkpoint_dir=tmp_path)
    path = tmp_path / 'model_epoch_1.npz'
    arrays, description = checkpoint.read(path)
    for part in ('settings', 'history', 'generator', 'architecture', 'optimizer'):
        checkpoint.write(path, arrays, {key: value for key, value in description.items() if key != part})
        net = small_network(seed=1)
        before = bits(net)
        with pytest.raises(CheckpointError, match=part):
            train(net, checkpoint_dir=tmp_path, resume_from_checkpoint=True)
        assert bits(net) == before


@pytest.mark.parametrize(
    ('other', 'message'),
    [
        (
            {'filters': 4},
            r'layer 0 \(Convolutional\): expected weights_0 of shape \(3, 3, 1, 4\), got \(3, 3, 1, 3\)',
        ),
        ({'activation': cnnx.Sigmoid}, r'layer 1 \(Sigmoid\): expected Sigmoid, got ReLU'),
        ({'dtype': 'float64'}, 'dtype: expected float64, got float32'),
        ({'loss': cnnx.MeanSquaredError()}, "loss: expected {'kind': 'MeanSquaredError'}, got {'kind': 'Categorical"),
    ],
)
def test_a_checkpoint_of_another_network_is_refused(tmp_path, other, message):
    train(small_network(), epochs=1, checkpoint_dir=tmp_path)
    net = small_network(seed=5, **other)
    before = bits(net)
    with pytest.raises(CheckpointError, match=message):
        train(net, checkpoint_dir=tmp_path, resume_from_checkpoint=True)
    assert bits(net) == before


class ReLU(cnnx.Layer):
    """A leaky one, called as one of cnnx, with settings that JSON writes and no number equals."""

    def __init__(self, slope=0.3, **more):
        super().__init__()
        self.slope, self.more = slope, more

    def settings(self):
        return {'slope': self.slope, 'nothing': float('nan'), **self.more}

    def forward(self, x, training=False):
        self.x = x
        return np.where(x > 0, x, np.float32(self.slope) * x)

    def backward(self, dy):
        return np.where(self.x > 0, dy, np.float32(self.slope) * dy)


def network_around(layer):
    net = cnnx.Network(seed=0)
    for each in (cnnx.Flatten(input_shape=(6, 6, 1)), layer, cnnx.Dense(output_size=3), cnnx.Softmax()):
        net.add(each)
    net.compile(cnnx.CategoricalCrossEntropy())
    return net


def test_a_layer_of_ones_own_that_is_called_as_one_of_cnnx_is_not_taken_for_it(tmp_path):
    whole, net = network_around(ReLU()), network_around(ReLU())
    history = train(whole)
    train(network_around(ReLU()), epochs=2, checkpoint_dir=tmp_path)
    assert train(net, checkpoint_dir=tmp_path, resume_from_checkpoint=True).history == history.history
    assert bits(net) == bits(whole)
    with pytest.raises(cnnx.CheckpointError, match=r"has a ReLU, which is not of cnnx; give custom_objects=\{'ReLU'"):
        cnnx.Network.load(tmp_path / 'model_epoch_3.npz')
    loaded = cnnx.Network.load(tmp_path / 'model_epoch_3.npz', custom_objects={'ReLU': ReLU})
    assert type(loaded.layers[1]) is ReLU
    assert bits(loaded) == bits(whole)
    for other, message in ((ReLU(0.2), 'expected slope 0.2, got 0.3'), (ReLU(axis=1), 'expected axis 1, got None')):
        with pytest.raises(cnnx.CheckpointError, match=message):
            train(network_around(other), checkpoint_dir=tmp_path, resume_from_checkpoint=True)


def test_parameters_of_one_name_are_refused():
    class Twice(ReLU):
        def build(self, input_shape):
            self.add_parameter('weights', (3,))
            self.add_parameter('weights', (3,))

    with pytest.raises(ValueError, match='expected parameters of different names, got weights twice'):
        network_around(Twice())


def test_a_parameter_named_like_an_optimizers_state_is_refused(tmp_path):
    class Averaging(ReLU):
        def build(self, input_shape):
            for name in ('weights', 'velocity_weights'):
                self.add_parameter(name, input_shape)

    net = network_around(Averaging())
    net.compile(net.loss, cnnx.SGD(momentum=0.9))
    with pytest.raises(
        ValueError, match='parameter velocity_weights_1: SGD saves its state of weights_1 under this name; give'
    ):
        train(net, checkpoint_dir=tmp_path)
    assert names(tmp_path) == []
    train(net, epochs=1)


def test_parameters_that_are_frozen_one_by_one_are_kept_in_files(tmp_path):
    net = small_network()
    net.parameters['bias_4'].trainable = False
    net.save(tmp_path / 'net.npz')
    loaded = cnnx.Network.load(tmp_path / 'net.npz')
    assert [name for name, p in loaded.parameters.items() if not p.trainable] == ['bias_4']
    train(net, epochs=1, checkpoint_dir=tmp_path)
    again = small_network()
    with pytest.warns(RuntimeWarning, match='parameter bias_4: trainable is False, as it was when this was saved'):
        train(again, epochs=2, checkpoint_dir=tmp_path, resume_from_checkpoint=True)
    assert not again.layers[4].bias.any()


@pytest.mark.parametrize(
    'layers',
    [
        [{'kind': 'Dense', 'input_shape': [10**7], 'output_size': 10**7, 'kernel_initializer': 'he_normal'}],
        [{'kind': 'Dense', 'input_shape': [10**30], 'output_size': 10**30, 'kernel_initializer': 'he_normal'}],
        [{'kind': 'Convolutional', 'input_shape': [9, 9, 10**5], 'num_filters': 10**5, 'kernel_size': [9, 9],
          'stride': [1, 1], 'padding': 'same', 'kernel_initializer': 'zeros'}],
        [{'kind': 'Flatten', 'input_shape': [10**9, 10**9]}] * 2,
        [{'kind': 'Nonsense'}], [{}], [3], 'x', None,
    ],
)  # fmt: skip
def test_a_network_too_large_for_its_file_is_refused(path, layers):
    description = {'architecture': {'dtype': 'float32', 'layers': layers}, 'loss': None, 'optimizer': None}
    checkpoint.write(path, {}, {**description, 'generator': np.random.default_rng(0).bit_generator.state})
    tracemalloc.start()
    began = time.perf_counter()
    with pytest.raises(CheckpointError, match='model.npz: '):
        cnnx.Network.load(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10e6
    assert time.perf_counter() - began < 1
