"""`Network.doctor`: networks that work raise no alarm, and stay as they are."""

import numpy as np
import pytest
from doctor_cases import assert_clean, dense, names, network, numbers, regression
from models import bits, lenet5, network_with_training_modes, small_data

from cnnx import (
    SGD,
    Adam,
    BatchNormalization,
    BinaryCrossEntropy,
    CategoricalCrossEntropy,
    Convolutional,
    Dense,
    Dropout,
    GlobalAveragePooling,
    Huber,
    KLDivergence,
    Layer,
    LeakyReLU,
    MaxPooling,
    MeanAbsoluteError,
    MeanSquaredError,
    Network,
    ReLU,
    Sigmoid,
    Softmax,
    Tanh,
)

# What works raises no alarm.


@pytest.mark.parametrize('times', [0, pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize('optimizer', range(3))
@pytest.mark.usefixtures('compiled_kernels')
def test_lenet5_is_healthy(digits, optimizer, times):
    """A Latin square: any two of optimizer, learning rate and number of samples come together once."""
    seed = (optimizer + times) % 3
    n, batch_size = [(200, 16), (1000, 32), (2000, 128)][seed]
    optimizer = [SGD(momentum=0.9), SGD(), Adam()][optimizer]
    net = lenet5(seed)
    net.compile(CategoricalCrossEntropy(), optimizer)
    rate = [1 / 3, 1, 3][times] * optimizer.usual_learning_rate
    x, y = digits
    assert_clean(net.doctor(x[:n], y[:n], learning_rate=rate, batch_size=batch_size))


@pytest.mark.parametrize('seed', range(2))
@pytest.mark.parametrize('optimizer', ['sgd', 'adam', 'adamw', 'rmsprop', 'adagrad'])
def test_dense_networks_are_healthy(flat, optimizer, seed):
    assert_clean(dense(seed=seed, optimizer=optimizer).doctor(*flat))
    mixed = Dense(784, 48), BatchNormalization(), Tanh(), Dropout(0.5), Dense(output_size=24), Tanh()
    net = network(*mixed, Dense(output_size=10), Softmax(), seed=seed, optimizer=optimizer)
    assert_clean(net.doctor(*flat))


@pytest.mark.parametrize('seed', range(2))
@pytest.mark.usefixtures('compiled_kernels')
def test_convolutions_with_normalization_and_dropout_are_healthy(digits, seed):
    first = Convolutional(8, 3, input_shape=(28, 28, 1)), BatchNormalization(), ReLU(), MaxPooling(2)
    second = Convolutional(8, 3), BatchNormalization(), LeakyReLU(), GlobalAveragePooling(), Dropout(0.2)
    net = network(*first, *second, Dense(output_size=10), Softmax(), seed=seed)
    assert_clean(net.doctor(digits[0][:300], digits[1][:300]))


@pytest.mark.parametrize('seed', range(3))
@pytest.mark.parametrize('optimizer', ['sgd', 'adam'])
def test_regressions_are_healthy(optimizer, seed):
    assert_clean(regression(seed=seed, optimizer=optimizer).doctor(*numbers(seed)))
    x, _ = numbers(seed)
    line = network(Dense(5, 1), loss=MeanSquaredError(), optimizer=optimizer, seed=seed)
    noise = 0.3 * np.random.default_rng(seed).normal(size=len(x))
    assert_clean(line.doctor(x, x @ [1, 2, -1, 0, 0.5] + noise, epochs=100))


@pytest.mark.parametrize('seed', range(3))
def test_other_outputs_and_losses_are_healthy(flat, seed):
    x, y = flat
    logits = CategoricalCrossEntropy(from_logits=True, label_smoothing=0.1)
    assert_clean(network(Dense(784, 30), Tanh(), Dense(output_size=10), loss=logits, seed=seed).doctor(x, y))
    squares = Dense(784, 30), Tanh(), Dense(output_size=10), Sigmoid()
    assert_clean(network(*squares, loss=MeanSquaredError(), seed=seed).doctor(x, y))
    single = Dense(784, 30), ReLU(), Dense(output_size=1), Sigmoid()
    assert_clean(network(*single, loss=MeanSquaredError(), seed=seed).doctor(x, y > 4))
    penalized = Dense(784, 30, l2=1e-3), ReLU(), Dense(output_size=10, l2=1e-3), Softmax()
    assert_clean(network(*penalized, dtype='float64', seed=seed).doctor(x, y))
    last_at_zero = Dense(784, 30), ReLU(), Dense(output_size=10, kernel_initializer='zeros'), Softmax()
    assert_clean(network(*last_at_zero, seed=seed).doctor(x, y))
    assert_clean(network(Dense(784, 10), Softmax(), seed=seed).doctor((x - x.mean()) / x.std(), y))


@pytest.mark.parametrize('activation', [ReLU, Tanh, Sigmoid])
@pytest.mark.parametrize('seed', range(2))
def test_few_samples_of_overlapping_or_twisted_classes_are_healthy_where_they_are_learned(seed, activation):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, 200)
    overlapping = rng.normal(size=(200, 2)) + 0.7 * y[:, np.newaxis]
    turned = 6 * rng.random(200)
    spiral = np.stack([turned * np.cos(turned + np.pi * y), turned * np.sin(turned + np.pi * y)], axis=1) / 3
    for x in (overlapping, spiral, rng.normal(size=(200, 2))):
        labels = y if x is overlapping or x is spiral else (x[:, 0] > 0) ^ (x[:, 1] > 0)
        for optimizer in (SGD(), Adam()):
            net = network(Dense(2, 16), activation(), Dense(16, 2), Softmax(), optimizer=optimizer, seed=seed)
            report = net.doctor(x, labels, batch_size=16)
            loss = net.train(x, labels, batch_size=16, verbose=0)['loss'][-1] / np.log(2)
            if loss < 0.94:
                assert_clean(report)
            elif loss > 0.96:
                assert names(report, 'error', 'warning') <= {'rate_too_low', 'no_progress', 'cannot_overfit'}
                assert not report


def test_a_network_that_has_learned_its_samples_is_healthy(flat):
    net = dense()
    net.train(*flat, epochs=40, verbose=0)
    assert_clean(net.doctor(*flat))


@pytest.mark.parametrize('trained', [False, True])
@pytest.mark.parametrize('rate', [0.01, 10, 1e-7])
def test_the_network_stays_as_it_is(rate, trained):
    net, twin = network_with_training_modes(), network_with_training_modes()
    x, y = small_data(120)
    if trained:
        for each in (net, twin):
            each.train(x, y, epochs=1, verbose=0)
    plan = net.plan
    before = {name: (p.value, p.grad.copy(), p.state, p.updates) for name, p in net.parameters.items()}
    first, second = (repr(net.doctor(x, y, learning_rate=rate, batch_size=8)) for _ in range(2))
    assert first == second
    assert net.plan is plan
    for name, p in net.parameters.items():
        value, grad, state, updates = before[name]
        assert p.value is value
        assert p.state is state
        assert p.updates == updates
        assert p.grad.tobytes() == grad.tobytes()
    for each in (net, twin):
        each.train(x, y, epochs=2, batch_size=8, verbose=0)
    assert bits(net) == bits(twin)


def test_a_layer_of_ones_own_is_no_obstacle(flat):
    class Square(Layer):
        def forward(self, x, training=False):
            self.x = x
            return np.square(x, out=self.empty('y', x.shape))

        def backward(self, dy):
            return np.multiply(2 * self.x, dy, out=self.empty('dx', dy.shape))

    assert_clean(network(Dense(784, 32), Square(), Dense(output_size=10), Softmax()).doctor(*flat, learning_rate=0.003))


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'learning_rate': 0}, 'learning_rate: expected a finite number of more than 0'),
        ({'learning_rate': -1}, 'learning_rate: expected a finite number'),
        ({'batch_size': 0}, 'batch_size: expected a whole number'),
        ({'seed': -1}, 'seed: expected a whole number of at least 0'),
    ],
)
def test_wrong_arguments_are_refused(flat, options, message):
    with pytest.raises(ValueError, match=message):
        dense().doctor(*flat, **options)


def test_what_the_library_refuses_is_refused_as_ever(flat):
    with pytest.raises(ValueError, match='10 at position'):
        dense().doctor(flat[0], flat[1] + 1)
    with pytest.raises(ValueError, match='expected x'):
        dense().doctor(flat[0].reshape(-1, 28, 28), flat[1])
    with pytest.raises(RuntimeError, match='doctor needs a loss'):
        Network().doctor(*flat)


@pytest.mark.parametrize(
    ('loss', 'last', 'targets'),
    [
        (CategoricalCrossEntropy(ignore_label=255), (3, Softmax), 'labels'),
        (BinaryCrossEntropy(), (1, Sigmoid), 'bits'),
        (BinaryCrossEntropy(from_logits=True), (1,), 'bits'),
        (BinaryCrossEntropy(), (1, Sigmoid), 'fractions'),
        (KLDivergence(), (2, Softmax), 'rows'),
        (MeanAbsoluteError(), (1,), 'numbers'),
        (Huber(), (1,), 'numbers'),
    ],
)
def test_maps_that_can_be_learned_have_no_findings(loss, last, targets):
    x = np.random.default_rng(0).random((200, 10, 10, 1), np.float32)
    sums = (x[:, :-2, :-2] + x[:, 1:-1, 1:-1] + x[:, 2:, 2:])[..., 0]
    y = {
        'labels': np.where(np.arange(8) < 2, 255, np.digitize(sums, [1.2, 1.8])),
        'bits': sums > 1.5,
        'fractions': sums / 3,
        'rows': np.stack([sums / 3, 1 - sums / 3], axis=-1),
        'numbers': sums,
    }[targets]
    layers = Convolutional(8, 3, input_shape=(10, 10, 1)), ReLU(), Convolutional(8, 1), ReLU()
    filters, *activation = last
    layers = *layers, Convolutional(filters, 1), *(kind() for kind in activation)
    net = network(*layers, loss=loss, optimizer=Adam())
    assert_clean(net.doctor(x, y, learning_rate=0.01))
