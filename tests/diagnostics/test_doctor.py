"""Each disease is found where it is, and what works raises no alarm.

Convolutions are tried on the compiled kernels alone, where they are quick; that the others agree is tested elsewhere.
"""

import dataclasses

import numpy as np
import pytest
from models import bits, lenet5, network_of_all_moods, small_data

from cnnx import (
    SGD,
    Adam,
    BatchNormalization,
    CategoricalCrossEntropy,
    Convolutional,
    Dense,
    Dropout,
    Flatten,
    GlobalAveragePooling,
    Layer,
    LeakyReLU,
    MaxPooling,
    MeanSquaredError,
    Network,
    ReLU,
    Sigmoid,
    Softmax,
    Tanh,
)
from cnnx.data import preprocess_mnist_data


def network(*layers, loss=None, optimizer=None, seed=0, dtype='float32'):
    net = Network(seed=seed, dtype=dtype)
    for layer in layers:
        net.add(layer)
    net.compile(loss or CategoricalCrossEntropy(), optimizer or SGD(momentum=0.9))
    return net


def dense(*, seed=0, optimizer=None, classes=10, first='he_normal'):
    layers = Dense(784, 32, kernel_initializer=first), ReLU(), Dense(output_size=classes), Softmax()
    return network(*layers, seed=seed, optimizer=optimizer)


def regression(last=None, **options):
    layers = Dense(5, 32), ReLU(), Dense(output_size=16), ReLU(), Dense(output_size=1)
    return network(*layers, *([last] if last else []), loss=MeanSquaredError(), **options)


def numbers(seed=0, n=500):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 5))
    return x, np.sin(x[:, 0]) + x[:, 1] * x[:, 2] + 0.1 * rng.normal(size=n)


def normal(width):
    return {'name': 'normal', 'standard_deviation': width}


@pytest.fixture(scope='module')
def digits():
    (x, y), _ = preprocess_mnist_data()
    return x[:2000], y[:2000].argmax(axis=1)


@pytest.fixture(scope='module')
def flat(digits):
    return digits[0][:1000].reshape(1000, -1), digits[1][:1000]


def names(report, *severities):
    return {f.name for f in report.findings if not severities or f.severity in severities}


def the(report, name):
    (finding,) = (finding for finding in report.findings if finding.name == name)
    assert finding.message in ' '.join(repr(report).split())
    assert finding.advice in ' '.join(repr(report).split())
    return finding


def assert_clean(report):
    assert report, repr(report)
    assert names(report) <= {'input_flattened', 'few_samples', 'sigmoids'}
    assert 'no problems found' in repr(report)


# What works raises no alarm.


@pytest.mark.parametrize('fraction', [1 / 3, 1, 3])
@pytest.mark.parametrize('optimizer', [SGD(momentum=0.9), SGD(), Adam()], ids=['momentum', 'sgd', 'adam'])
@pytest.mark.parametrize(('n', 'batch_size', 'seed'), [(200, 16, 0), (1000, 32, 1), (2000, 128, 2)])
@pytest.mark.usefixtures('compiled_kernels')
def test_lenet5_is_healthy(digits, n, batch_size, seed, optimizer, fraction):
    net = lenet5(seed)
    net.compile(CategoricalCrossEntropy(), optimizer)
    rate = fraction * optimizer.usual_learning_rate
    x, y = digits
    assert_clean(net.doctor(x[:n], y[:n], learning_rate=rate, batch_size=batch_size))


@pytest.mark.parametrize('seed', range(3))
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
    assert_clean(line.doctor(x, x @ [1, 2, -1, 0, 0.5] + noise))


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
@pytest.mark.parametrize('seed', range(4))
def test_few_samples_of_overlapping_or_twisted_classes_are_healthy(seed, activation):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, 200)
    overlapping = rng.normal(size=(200, 2)) + 0.7 * y[:, np.newaxis]
    turned = 6 * rng.random(200)
    spiral = np.stack([turned * np.cos(turned + np.pi * y), turned * np.sin(turned + np.pi * y)], axis=1) / 3
    for x in (overlapping, spiral, rng.normal(size=(200, 2))):
        labels = y if x is overlapping or x is spiral else (x[:, 0] > 0) ^ (x[:, 1] > 0)
        for optimizer in (SGD(), Adam()):
            net = network(Dense(2, 16), activation(), Dense(16, 2), Softmax(), optimizer=optimizer, seed=seed)
            assert_clean(net.doctor(x, labels, batch_size=16))


def test_a_network_that_has_learned_its_samples_is_healthy(flat):
    net = dense()
    net.train(*flat, epochs=40, verbose=0)
    assert_clean(net.doctor(*flat))


@pytest.mark.parametrize('n', [1, 2, 3, 5, 30])
def test_few_samples_are_worth_a_note(flat, n):
    report = dense().doctor(flat[0][:n], flat[1][:n])
    assert names(report) - {'input_flattened'} == {'few_samples'}
    assert report


# What is wrong with the data.


@pytest.mark.parametrize('seed', range(2))
@pytest.mark.usefixtures('compiled_kernels')
def test_pixels_of_0_to_255(digits, seed):
    x = (255 * digits[0][:300]).round().astype(np.uint8)
    report = lenet5(seed).doctor(x, digits[1][:300])
    assert the(report, 'input_scale').advice == 'These look like pixels of 0 to 255: x / 255.'
    assert the(report, 'input_integer').severity == 'note'
    assert not report
    if 'rate_too_high' in names(report):
        assert the(report, 'rate_too_high').advice.startswith('First scale the numbers')


def test_numbers_that_are_not_normalised(flat):
    x, y = flat
    assert the(dense().doctor(x + 100, y), 'input_scale').values['mean'] == pytest.approx(100.1, abs=0.1)
    assert 'Weights would have to grow' in the(dense().doctor(x / 255, y), 'input_scale').message
    columns, targets = numbers()
    columns[:, 2] *= 1000
    assert the(regression().doctor(columns, targets), 'input_columns').values['column'] == 2
    normalised = network(BatchNormalization(input_shape=(784,)), Dense(output_size=10), Softmax())
    assert_clean(normalised.doctor(30 * x + 20, y))


@pytest.mark.parametrize('number', [np.nan, np.inf])
def test_numbers_that_are_not_finite(flat, number):
    x, y = flat[0].copy(), flat[1]
    x[[7, 12], 3] = number
    finding = the(dense().doctor(x, y), 'input_not_finite')
    assert finding.values == {'samples': 2, 'first': 7}
    kept = x[np.isfinite(x).reshape(len(x), -1).all(axis=1)]
    assert len(kept) == len(x) - 2
    x, y = numbers()
    y[3] = number
    report = regression().doctor(x, y)
    assert the(report, 'targets_not_finite').values['first'] == 3
    assert 'nothing was trained' in repr(report)


def test_equal_samples_and_equal_samples_with_different_targets(flat):
    x, y = flat
    assert names(dense().doctor(x[:1].repeat(100, axis=0), y[:100]), 'error') == {'input_equal'}
    both = dense().doctor(np.concatenate([x, x]), np.concatenate([y, (y + 1) % 10]))
    assert the(both, 'targets_contradict').values == {'samples': 2000}
    one = dense().doctor(np.concatenate([x, x[:1]]), np.append(y, (y[0] + 1) % 10))
    assert the(one, 'targets_contradict').severity == 'note'


@pytest.mark.usefixtures('compiled_kernels')
def test_channels_that_come_first_and_flattened_images(digits, flat):
    layers = Convolutional(6, (1, 5), input_shape=(1, 28, 28)), ReLU(), Flatten(), Dense(output_size=10), Softmax()
    report = network(*layers).doctor(digits[0][:300].reshape(-1, 1, 28, 28), digits[1][:300])
    assert 'input_shape of (28, 28, 1)' in the(report, 'input_layout').advice
    assert names(report, 'warning') == {'input_layout'}
    finding = the(dense().doctor(*flat), 'input_flattened')
    assert (finding.severity, finding.advice[:27]) == ('note', 'x.reshape(-1, 28, 28, 1), a')
    mixed = flat[0][:, np.random.default_rng(0).permutation(784)]
    assert names(dense().doctor(mixed, flat[1])) == set()


def test_labels_from_1_missing_classes_unbalanced_ones_and_sorted_ones(flat):
    x, y = flat
    assert (
        the(dense(classes=11).doctor(x, y + 1), 'labels_start_at_1').advice
        == 'Labels begin at 0: y - 1, and 10 outputs.'
    )
    assert names(dense().doctor(x[y != 4], y[y != 4]), 'warning') == {'classes_missing'}
    rare = (y == 0) | (np.arange(len(y)) < 25)
    finding = the(dense().doctor(x[rare], y[rare]), 'classes_unbalanced')
    assert finding.values['counts'] == np.bincount(y[rare]).tolist()
    order = np.argsort(y, kind='stable')
    report = dense().doctor(x[order], y[order])
    assert the(report, 'labels_in_order').severity == 'note'
    assert report


@pytest.mark.usefixtures('compiled_kernels')
def test_targets_that_do_not_follow_from_the_samples(digits, flat):
    (x, y), found = flat, 0
    for seed in range(12):
        report = dense(seed=seed).doctor(x, np.random.default_rng(seed).permutation(y))
        assert names(report, 'error', 'warning') <= {'targets_unrelated'}
        found += not report
    assert found >= 10  # one in forty passes by chance: what is there must not be denied
    assert abs(the(report, 'targets_unrelated').values['standard_deviations']) < 3.5
    shuffled = np.random.default_rng(0).permutation(digits[1][:400])
    assert names(lenet5(0).doctor(digits[0][:400], shuffled)) == {'targets_unrelated'}
    x, y = numbers()
    assert names(regression().doctor(x, np.random.default_rng(0).permutation(y))) == {'targets_unrelated'}


def test_targets_out_of_the_last_layers_range_or_much_too_large(flat):
    x, y = numbers()
    finding = the(regression(ReLU()).doctor(x, -np.abs(y) - 0.1), 'targets_out_of_range')
    assert (finding.severity, finding.layer) == ('error', 5)
    assert the(regression(Sigmoid()).doctor(x, y), 'targets_out_of_range').values['fraction'] > 0.5
    assert the(regression(Tanh()).doctor(x, y / 2), 'targets_out_of_range').severity == 'warning'
    assert 'target_scale' in names(regression().doctor(x, 1e4 * y))
    assert 'targets_equal' in names(regression().doctor(x, np.ones(len(x))))
    twice = network(Dense(784, 10), Softmax(), loss=MeanSquaredError()).doctor(flat[0], 2 * np.eye(10)[flat[1]] - 0.1)
    assert the(twice, 'targets_out_of_range').layer == 1
    halves = np.eye(10)[flat[1]] / 2
    report = network(Dense(784, 10), Softmax(), loss=MeanSquaredError()).doctor(flat[0], halves)
    assert 'the targets sum to 0.5' in the(report, 'targets_out_of_range').message


# What is wrong with the network.


@pytest.mark.parametrize(
    ('layers', 'loss', 'name', 'severity', 'place'),
    [
        ([Dense(output_size=10), Softmax(), Softmax()], None, 'softmax_twice', 'error', 4),
        ([Dense(output_size=10), Sigmoid()], None, 'sigmoid_cross_entropy', 'error', 3),
        ([Dense(output_size=10), ReLU(), Softmax()], None, 'activation_before_softmax', 'warning', 3),
        ([Dense(output_size=10), Tanh()], 'logits', 'activation_before_softmax', 'warning', 3),
        ([Dense(output_size=10), Dropout(0.5), Softmax()], None, 'dropout_last', 'warning', 3),
        (
            [Dropout(0.2), Dense(output_size=20), Dense(output_size=10), Softmax()],
            None,
            'linear_in_a_row',
            'warning',
            4,
        ),
        (
            [Dropout(0.2), BatchNormalization(), Dense(output_size=10), Softmax()],
            None,
            'dropout_before_normalization',
            'note',
            3,
        ),
    ],
)
def test_layers_that_do_not_go_together(flat, layers, loss, name, severity, place):
    loss = CategoricalCrossEntropy(from_logits=True) if loss else None
    layers = [type(layer)(**_settings(layer)) for layer in layers]  # a layer is of one network alone
    report = network(Dense(784, 32), ReLU(), *layers, loss=loss).doctor(*flat)
    finding = the(report, name)
    assert (finding.severity, finding.layer) == (severity, place)
    assert bool(report) == (severity == 'note')


def _settings(layer):
    return {key: value for key, value in layer.settings().items() if key != 'kernel_initializer'}


def test_a_softmax_before_a_loss_from_logits_is_refused_by_the_library():
    with pytest.raises(ValueError, match='would take the softmax twice'):
        network(Dense(784, 10), Softmax(), loss=CategoricalCrossEntropy(from_logits=True))


def test_frozen_layers_and_layers_that_stay_alike(flat):
    net = dense()
    net.layers[0].trainable = False
    report = net.doctor(*flat)
    assert (the(report, 'frozen').severity, the(report, 'frozen').layer, bool(report)) == ('note', 0, True)
    net.layers[2].trainable = False
    assert names(net.doctor(*flat), 'error', 'warning') == {'nothing_learns'}
    net = dense()
    for layer in net.layers[:3:2]:
        layer.parameters[0].trainable = False
    assert 'only_biases_learn' in names(net.doctor(*flat))
    for first in ('zeros', lambda rng, shape, dtype: np.full(shape, 0.01, dtype)):
        report = dense(first=first).doctor(*flat)
        assert names(report, 'error', 'warning') == {'weights_equal'}
        assert the(report, 'weights_equal').layer == 0
    net = dense()
    net.layers[2].weights[3, 3] = np.nan
    assert the(net.doctor(*flat), 'weights_not_finite').layer == 2


# What passes and steps show.


@pytest.mark.parametrize('seed', range(2))
def test_first_losses_dead_saturated_and_exploding_units(flat, seed):
    layers = Dense(784, 32), ReLU(), Dense(output_size=10, kernel_initializer=normal(10)), Softmax()
    finding = the(network(*layers, seed=seed).doctor(*flat), 'initial_loss')
    assert finding.layer == 2
    assert finding.values['loss'] > 10 > finding.values['chance']
    net = dense(seed=seed)
    net.layers[0].bias = np.where(np.arange(32) < 24, -100, 0)
    finding = the(net.doctor(*flat), 'dead_units')
    assert (finding.severity, finding.layer) == ('warning', 1)
    assert 0.75 <= finding.values['fraction'] < 1
    net.layers[0].bias = np.full(32, -100)
    report = net.doctor(*flat)
    assert {'dead_units', 'no_gradient'} <= names(report, 'error')
    tanh = Dense(784, 32, kernel_initializer=normal(3)), Tanh(), Dense(output_size=10), Softmax()
    assert the(network(*tanh, seed=seed).doctor(*flat), 'saturated').layer == 1


@pytest.mark.parametrize(('width', 'names_expected'), [(0.01, 'vanish'), (2, 'explode')])
def test_signals_and_gradients_that_fade_or_grow(flat, width, names_expected):
    layers = [Dense(784, 32), ReLU()]
    for _ in range(6):
        layers += [Dense(output_size=32, kernel_initializer=normal(width)), ReLU()]
    report = network(*layers, Dense(output_size=10), Softmax()).doctor(*flat)
    assert {f'activations_{names_expected}', f'gradients_{names_expected}'} <= names(report, 'warning')


def test_a_first_loss_that_is_not_finite(flat):
    report = dense().doctor(1e200 * flat[0].astype('float64'), flat[1])
    assert the(report, 'loss_not_finite').layer == 0
    assert 'input_scale' in names(report)
    assert 'nothing was trained' in repr(report)


def test_deep_sigmoids(flat):
    layers = [Dense(784, 32), Sigmoid()]
    for _ in range(8):
        layers += [Dense(output_size=32), Sigmoid()]
    report = network(*layers, Dense(output_size=10), Softmax()).doctor(*flat)
    assert 'gradients_vanish' in names(report, 'warning')
    assert the(report, 'sigmoids').severity == 'note'


@pytest.mark.parametrize('seed', range(2))
@pytest.mark.parametrize(('rate', 'name'), [(0.3, 'high'), (10, 'high'), (1e-5, 'low'), (1e-7, 'low')])
@pytest.mark.usefixtures('compiled_kernels')
def test_rates_that_are_too_high_or_too_low(digits, rate, name, seed):
    report = lenet5(seed).doctor(digits[0][:500], digits[1][:500], learning_rate=rate)
    finding = the(report, f'rate_too_{name}')
    assert finding.severity == ('error' if name == 'high' else 'warning')
    suggestion = finding.values['suggestion']
    assert suggestion is None or 0.001 < suggestion < 0.1


@pytest.mark.parametrize(('rate', 'name'), [(1, 'high'), (1e-6, 'low')])
def test_rates_of_a_regression(rate, name):
    assert f'rate_too_{name}' in names(regression().doctor(*numbers(), learning_rate=rate))


def test_a_network_that_is_too_small(flat):
    small = Dense(784, 1), ReLU(), Dense(output_size=10), Softmax()
    finding = the(network(*small, seed=1).doctor(*flat), 'cannot_overfit')
    assert finding.values['loss'] > 0.3 * finding.values['chance']


# How it says it, and what it leaves alone.


def test_the_report_says_what_and_what_to_do_errors_first(flat):
    report = network(Dense(784, 32), Dense(output_size=10), Sigmoid()).doctor(*flat)
    assert [f.severity for f in report.findings] == ['error', 'warning', 'note']
    text = repr(report)
    assert text.startswith('error: CategoricalCrossEntropy depends on the output of the true class alone')
    assert '\n  > Replace it by Softmax().\n' in text
    assert text.endswith('1 error, 1 warning, 1 note (1,000 samples, batch size 32, learning rate 0.01)')
    assert str(report.findings[0]) in text
    assert max(map(len, text.splitlines())) <= 120
    with pytest.raises(dataclasses.FrozenInstanceError):
        report.findings[0].name = ''


@pytest.mark.usefixtures('compiled_kernels')
def test_rows_tell_what_was_measured_of_each_layer(digits):
    rows = lenet5(0).doctor(digits[0][:300], digits[1][:300]).layers
    assert [row.layer for row in rows[:2]] == ['0 Convolutional', '1 ReLU']
    assert len(rows) == 12  # the Softmax trains as one with the loss
    for row in rows:
        assert 0.1 < row.spread < 2
        assert 0 < row.gradient < 1
        assert (row.update is None) == (row.layer.split()[1] not in ('Convolutional', 'Dense'))
        assert (row.idle is None) == (row.idle_later is None) == (row.layer.split()[1] != 'ReLU')
    assert all(1e-4 < row.update < 0.1 for row in rows if row.update is not None)


@pytest.mark.parametrize('trained', [False, True])
@pytest.mark.parametrize('rate', [0.01, 10, 1e-7])
def test_the_network_stays_as_it_is(rate, trained):
    net, twin = network_of_all_moods(), network_of_all_moods()
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
        def _output_shape(self, input_shape):
            return input_shape

        def compute(self, x, training, empty):
            self._saved = (x,)
            return np.square(x, out=empty('y', x.shape, x.dtype))

        def compute_gradient(self, dy, empty, input_gradient=True):
            return np.multiply(2 * self._saved[0], dy, out=empty('dx', dy.shape, dy.dtype))

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
