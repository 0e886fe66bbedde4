"""A training loop of one's own: forward, backward, update, train_on_batch."""

import numpy as np
import pytest
from models import bits, network_with_training_modes, small_data, small_network

import cnnx
from cnnx import SGD, CategoricalCrossEntropy, Convolutional, Dense, Flatten, Network, ReLU, Softmax


def batches(x, y, size=16):
    return [(x[first : first + size], y[first : first + size]) for first in range(0, len(x), size)]


def by_hand(net, x, y, epochs=2):
    """Train as `train(shuffle=False)` does, by single calls."""
    for _ in range(epochs):
        for samples, targets in batches(x, y):
            _, dy = net.loss.value_and_gradient(net.forward(samples, training=True), targets)
            net.backward(dy)
            net.update(0.05)


@pytest.mark.parametrize('make', [small_network, network_with_training_modes])
def test_a_loop_by_hand_trains_as_train_does(make):
    x, y = small_data()
    nets = [make() for _ in range(3)]
    for net in nets:
        net.fused = False
    by_hand(nets[0], x, y)
    nets[1].train(x, y, epochs=2, batch_size=16, learning_rate=0.05, shuffle=False, verbose=0)
    for _ in range(2):
        for batch in batches(x, y):
            nets[2].train_on_batch(*batch, learning_rate=0.05)
    assert bits(nets[0]) == bits(nets[1]) == bits(nets[2])


@pytest.mark.parametrize('make', [small_network, network_with_training_modes])
def test_a_loop_by_hand_agrees_in_blocks_within_rounding(make):
    x, y = small_data()
    fused, plain = make(), make()
    plain.fused = False
    by_hand(fused, x, y)
    by_hand(plain, x, y)
    for name, parameter in fused.parameters.items():
        np.testing.assert_allclose(parameter.value, plain.parameters[name].value, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize('fused', [True, False])
@pytest.mark.parametrize('training', [True, False])
def test_gradients_by_parameters_and_by_the_input(fused, training):
    net = cnnx.Network(seed=0, dtype='float64', fused=fused)
    for layer in (
        Convolutional(2, 3, input_shape=(4, 4, 1), l2=0.1),
        cnnx.BatchNormalization(),
        cnnx.Tanh(),
        Flatten(),
    ):
        net.add(layer)
    for layer in (cnnx.Dropout(0.5), Dense(output_size=3), Softmax()):
        net.add(layer)
    net.compile(CategoricalCrossEntropy())
    rng = np.random.default_rng(0)
    x, targets, state = rng.normal(size=(3, 4, 4, 1)), [0, 2, 1], net.generator.bit_generator.state
    net.train_on_batch(x, targets)
    running = {name: p.value.copy() for name, p in net.parameters.items() if 'running' in name}

    def loss():
        net.generator.bit_generator.state = state
        for name, value in running.items():
            net.parameters[name].value = value
        y = net.forward(x, training=training)
        return net.loss.value_and_gradient(y, targets)[0] + net.plan.penalty()

    loss()
    dx = net.backward(net.loss.value_and_gradient(net.forward(x, training), targets)[1]) if not training else None
    if training:
        net.generator.bit_generator.state = state
        y = net.forward(x, training=True)
        dx = net.backward(net.loss.value_and_gradient(y, targets)[1])
    arrays = [(x, dx)] + [(p.value, p.grad.copy()) for p in net.trainable_parameters]
    for array, gradient in arrays:
        place = np.unravel_index(np.abs(gradient).argmax(), array.shape)
        value, ends = array[place], []
        for step in (1e-6, -1e-6):
            array[place] = value + step
            ends.append(loss())
        array[place] = value
        assert gradient[place] == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-4)


def test_what_forward_and_backward_return_is_the_callers():
    net, (x, _) = small_network(), small_data(4)
    first = net.forward(x, training=True)
    kept = first.copy()
    dx = net.backward(np.ones_like(first))
    kept_dx = dx.copy()
    net.forward(x + 1, training=True)
    net.backward(np.full_like(first, 3))
    np.testing.assert_array_equal(first, kept)
    np.testing.assert_array_equal(dx, kept_dx)
    assert dx.shape == x.shape


@pytest.mark.parametrize('other', [lambda net, x, y: net.predict(x), lambda net, x, y: net.evaluate(x, y)])
def test_backward_needs_its_forward_pass(other):
    net, (x, y) = small_network(), small_data(4)
    with pytest.raises(RuntimeError, match='backward: expected forward just before'):
        net.backward(np.ones((4, 3)))
    dy = np.ones_like(net.forward(x, training=True))
    other(net, x, y)
    with pytest.raises(RuntimeError, match='backward: expected forward just before'):
        net.backward(dy)
    net.forward(x)
    with pytest.raises(ValueError, match='expected the gradient of 4 samples'):
        net.backward(dy[:2])
    with pytest.raises(ValueError, match=r'expected output gradient \(N, 3\)'):
        net.backward(np.ones((4, 2)))


def test_frozen_layers_are_stepped_by_no_optimizer():
    net, (x, y) = small_network(), small_data(8)
    net.layers[0].trainable = False
    net.layers[4].parameters[1].trainable = False
    before = bits(net)
    dy = net.loss.value_and_gradient(net.forward(x, training=True), y)[1]
    net.backward(dy)
    SGD().update(iter(net.parameters.values()), 0.1)
    assert {name for name, value in bits(net).items() if value != before[name]} == {'weights_4'}


def test_a_network_learns_through_the_gradient_of_another_one():
    x, y = small_data()
    encoder, head = Network(seed=0), Network(seed=1)
    encoder.add(Convolutional(3, 3, input_shape=(6, 6, 1)))
    encoder.add(ReLU())
    encoder.compile(optimizer='sgd')
    head.add(Flatten(input_shape=(4, 4, 3)))
    head.add(Dense(output_size=3))
    head.add(Softmax())
    head.compile(CategoricalCrossEntropy(), SGD())
    before = bits(encoder)
    losses = []
    for _ in range(30):
        y_head = head.forward(encoder.forward(x, training=True), training=True)
        loss, dy = head.loss.value_and_gradient(y_head, y)
        encoder.backward(head.backward(dy))
        head.update(0.1)
        encoder.update(0.1)
        losses.append(loss)
    assert losses[-1] < losses[0] / 2
    assert bits(encoder) != before
    with pytest.raises(RuntimeError, match='train needs a loss'):
        encoder.train(x, y, verbose=0)


def test_an_update_needs_an_optimizer():
    net = Network(seed=0)
    net.add(Dense(2, 2))
    with pytest.raises(RuntimeError, match='update needs an optimizer'):
        net.update()


def test_a_batch_that_diverges_changes_nothing():
    net, (x, y) = small_network(), small_data(8)
    before = bits(net)
    with pytest.raises(cnnx.DivergenceError, match='sample 0 of x holds a number that is not finite'):
        net.train_on_batch(np.full_like(x, np.nan), y)
    assert bits(net) == before


@pytest.mark.parametrize('optimizer', ['sgd', 'adam', 'rmsprop', 'adagrad'])
def test_a_loop_goes_on_from_a_file_with_the_same_bits(tmp_path, optimizer):
    x, y = small_data()
    net = network_with_training_modes()
    net.compile(CategoricalCrossEntropy(), optimizer)
    by_hand(net, x, y, epochs=1)
    net.save(tmp_path / 'loop.npz', optimizer_state=True)
    again = Network.load(tmp_path / 'loop.npz')
    for network in (net, again):
        by_hand(network, x, y, epochs=1)
    assert bits(net) == bits(again)


def test_the_layers_of_a_network_change_by_add_and_pop_alone():
    net = small_network()
    with pytest.raises(AttributeError):
        net.layers.append(ReLU())
    with pytest.raises(TypeError):
        net.layers[1] = ReLU()


@pytest.mark.parametrize('rate', [-1, float('nan'), 'fast'])
def test_a_learning_rate_is_a_number_of_at_least_0(rate):
    net, (x, y) = small_network(), small_data(4)
    for call in (lambda: net.update(rate), lambda: net.train_on_batch(x, y, learning_rate=rate)):
        with pytest.raises(ValueError, match='learning_rate: expected a finite number of at least 0'):
            call()


@pytest.mark.parametrize('fused', [True, False])
def test_an_empty_batch_passes_through(fused):
    net, (x, _) = small_network(), small_data(4)
    net.fused = fused
    assert net.forward(x[:0], training=True).shape == (0, 3)
    assert net.backward(np.empty((0, 3))).shape == (0, 6, 6, 1)


@pytest.mark.parametrize('fused', [True, False])
def test_the_callers_array_can_be_filled_again_before_backward(fused):
    x, _ = small_data(4)
    gradients = []
    for refill in (False, True):
        net, given = small_network(), x.copy()
        net.fused = fused
        net.forward(given, training=True)
        if refill:
            given[...] = 0
        net.backward(np.ones((4, 3)) * [1, 2, 3])
        gradients.append(net.layers[0].parameters[0].grad.copy())
    np.testing.assert_array_equal(*gradients)


def test_a_file_with_the_optimizers_state_needs_an_optimizer(tmp_path):
    net = Network(seed=0)
    net.add(Dense(2, 2))
    with pytest.raises(RuntimeError, match='save: optimizer_state needs an optimizer'):
        net.save(tmp_path / 'net.npz', optimizer_state=True)
