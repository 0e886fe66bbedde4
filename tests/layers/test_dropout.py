"""Dropout: what it drops, where its random numbers come from, and that nothing but the generator decides them."""

import copy
import pickle

import numpy as np
import pytest
from models import bits, small_data

import cnnx
from cnnx import kernels
from cnnx.checkpoint.state import restore_generator

SIZE = 200_000


def network(seed=0, rate=0.4):
    net = cnnx.Network(seed=seed)
    for layer in (
        cnnx.Convolutional(3, 3, input_shape=(6, 6, 1)),
        cnnx.ReLU(),
        cnnx.Dropout(rate),
        cnnx.Flatten(),
        cnnx.Dense(output_size=3),
        cnnx.Softmax(),
    ):
        net.add(layer)
    net.compile(cnnx.CategoricalCrossEntropy(), cnnx.SGD(momentum=0.9))
    return net


def train(net, epochs=2):
    return net.train(*small_data(22), epochs=epochs, batch_size=8, learning_rate=0.05, verbose=0)


def masks(layer, passes=1):
    ones = np.ones((1, SIZE))
    return [layer.forward(ones, training=True) != 0 for _ in range(passes)]


@pytest.mark.parametrize('rate', [0.1, 0.5, 0.9])
def test_numbers_are_dropped_with_the_rate_and_the_others_divided(rate):
    y = cnnx.Dropout(rate).forward(np.ones((2, SIZE)), training=True)
    assert set(np.unique(y)) == {0, 1 / (1 - rate)}
    deviation = np.sqrt(rate * (1 - rate) / y.size)
    assert (y == 0).mean() == pytest.approx(rate, abs=4 * deviation)
    assert y.mean() == pytest.approx(1, abs=4 * deviation / (1 - rate))


def test_neighbours_and_passes_are_dropped_independently():
    first, second = masks(cnnx.Dropout(0.5), passes=2)
    deviation = 0.5 / np.sqrt(SIZE)
    for ours, other in ((first[:, 1:], first[:, :-1]), (first[:, 64:], first[:, :-64]), (first, second)):
        assert (ours == other).mean() == pytest.approx(0.5, abs=4 * deviation)


def test_the_mask_is_that_of_splitmix64():
    # The first numbers of Vigna's splitmix64.c, seeded with 1234567.
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    ones = np.ones(4)
    y = np.empty(4)
    for rate in (0.2, 0.3, 0.5, 0.6):
        kernels.current().dropout_forward(ones, y, 1234567, rate, 1)
        assert (y == 0).tolist() == [number < rate * 2**64 for number in expected]


@pytest.mark.usefixtures('compiled_kernels')
def test_both_backends_drop_the_same():
    y, other = np.empty(10_000), np.empty(10_000)
    x = np.random.default_rng(0).normal(size=10_000)
    for key in (0, 1, 2**63, 2**64 - 1):
        kernels.current().dropout_forward(x, y, key, 0.37, 2)
        with cnnx.use_backend('numpy'):
            kernels.current().dropout_forward(x, other, key, 0.37, 1)
        assert y.tobytes() == other.tobytes()


def test_outside_training_numbers_pass_as_they_are():
    layer = cnnx.Dropout(0.9).set_up((5,))
    x, state = np.ones((3, 5), np.float32), layer.generator.bit_generator.state
    y = layer.forward(x)
    assert y is x
    assert layer.backward(y) is y
    assert layer.generator.bit_generator.state == state
    assert (cnnx.Dropout(0).forward(x, training=True) == x).all()


@pytest.mark.parametrize('rate', [-0.1, 1, 1.5, float('nan'), '0.5', None, True])
def test_a_rate_that_is_no_probability_below_1_is_refused(rate):
    with pytest.raises(ValueError, match='rate: expected a finite number of at least 0 and less than 1'):
        cnnx.Dropout(rate)


def test_a_network_trains_through_its_dropout():
    dropped, kept = network(), network(rate=0)
    train(dropped)
    train(kept)
    assert bits(dropped) != bits(kept)
    x, _ = small_data(4)
    assert (dropped.predict(x) == dropped.predict(x)).all()


def test_one_seed_gives_one_run_and_the_generator_decides_it():
    nets = [network(), network(), network()]
    nets[2].generator.random()
    for net in nets:
        train(net)
    assert bits(nets[0]) == bits(nets[1]) != bits(nets[2])


def remake(tmp_path, net):
    net.save(tmp_path / 'net.npz')
    return cnnx.Network.load(tmp_path / 'net.npz')


@pytest.mark.parametrize(
    'again',
    [
        lambda folder, net: copy.deepcopy(net),
        lambda folder, net: pickle.loads(pickle.dumps(net)),
        remake,
    ],
    ids=['deepcopy', 'pickle', 'load'],
)
def test_a_copy_draws_what_the_original_would_have_drawn(tmp_path, again):
    net = network()
    train(net)
    twin = again(tmp_path, net)
    assert twin.layers[2].generator is twin.generator is not net.generator
    for each in (net, twin):
        for parameter in each.parameters.values():
            parameter.state.clear()
        train(each)
    assert bits(twin) == bits(net)


def test_a_generator_that_is_assigned_decides_from_then_on():
    net, other = network(), network(seed=1)
    for name, parameter in other.parameters.items():
        parameter.value = net.parameters[name].value
    net.generator, other.generator = np.random.default_rng(5), np.random.default_rng(5)
    train(net)
    train(other)
    assert net.layers[2].generator is net.generator
    assert bits(net) == bits(other)
    net.generator = 5
    with pytest.raises(TypeError, match='generator: expected one such as'):
        net.predict(small_data(4)[0])


def test_a_layer_that_was_used_alone_takes_the_networks_generator():
    net = network()
    used = cnnx.Dropout(0.5, input_shape=(3,)).set_up()
    net.add(used)
    net.predict(small_data(4)[0])
    assert used.generator is net.generator


def test_restoring_keeps_the_generator_and_sets_its_state(tmp_path):
    net = network()
    generator, state = net.generator, net.generator.bit_generator.state
    net.save(tmp_path / 'net.npz')
    generator.random(3)
    _, description = cnnx.checkpoint.read(tmp_path / 'net.npz')
    restore_generator(net, description['generator'])
    assert net.generator is generator
    assert generator.bit_generator.state == state
