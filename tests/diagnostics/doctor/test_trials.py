"""What the doctor finds by training: learning rates, targets, overfitting a few samples."""

import copy

import numpy as np
import pytest
from doctor_cases import assert_clean, dense, names, network, numbers, regression, the
from models import lenet5

from cnnx import SGD, Dense, DivergenceError, Loss, ReLU, Softmax
from cnnx.optimizers import Update


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


@pytest.mark.parametrize(
    ('rate', 'name', 'seed'), [(0.3, 'high', 0), (10, 'high', 1), (1e-5, 'low', 0), (1e-7, 'low', 1)]
)
@pytest.mark.usefixtures('compiled_kernels')
def test_rates_that_are_too_high_or_too_low(digits, rate, name, seed):
    report = lenet5(seed).doctor(digits[0][:500], digits[1][:500], learning_rate=rate)
    finding = the(report, f'rate_too_{name}')
    assert finding.severity == 'error'
    suggestion = finding.values['suggestion']
    assert suggestion is None or 0.001 < suggestion < 0.1


@pytest.mark.parametrize(('rate', 'name'), [(1, 'high'), (1e-6, 'low')])
def test_rates_of_a_regression(rate, name):
    assert f'rate_too_{name}' in names(regression().doctor(*numbers(), learning_rate=rate))


def test_a_network_whose_only_unit_dies(flat):
    small = Dense(784, 1), ReLU(), Dense(output_size=10), Softmax()
    report = network(*small, seed=1).doctor(*flat)
    assert names(report, 'error') == {'no_progress', 'dead_units'}
    values = the(report, 'no_progress').values
    assert values['loss'] > 0.95 * values['chance']


def test_a_network_that_cannot_learn(flat):
    net = dense()
    net.layers[0].bias = np.full(32, -100)  # all units are 0
    finding = the(net.doctor(*flat), 'cannot_overfit')
    assert finding.values['loss'] > 0.95 * finding.values['chance']


@pytest.mark.parametrize(
    ('optimizer', 'rate'), [('sgd', 1), ('sgd', 0.5), (SGD(momentum=0.9), 1), (SGD(momentum=0.9), 0.2), ('adam', 0.2)]
)
@pytest.mark.parametrize('seed', [0])
def test_high_rates_are_found_wherever_training_learns_nothing(flat, optimizer, rate, seed):
    """Rates around 1, where the first steps may look harmless."""
    net = dense(seed=seed, optimizer=copy.deepcopy(optimizer))
    report = net.doctor(*flat, learning_rate=rate)
    try:
        loss = net.train(*flat, learning_rate=rate, verbose=0)['loss'][-1] / np.log(10)
    except DivergenceError:
        loss = np.inf
    # At such rates the outcome hangs on rounding, which differs from one processor to the next.
    if loss > 1:
        assert names(report, 'error') & {'rate_too_high', 'no_progress'}


@pytest.mark.usefixtures('compiled_kernels')
def test_what_could_not_be_measured_says_so(digits):
    report = lenet5(0).doctor(digits[0][:500], 100 * digits[1][:500] % 7, learning_rate=1e30)
    assert 'rate_too_high' in names(report, 'error')
    assert '-: not measured, since the loss is NaN or infinite after' in ' '.join(repr(report).split())
    assert max(map(len, repr(report).splitlines())) <= 120
    rows = {row.layer.split()[1]: row.cells()[-2:] for row in report.layers}
    assert rows['ReLU'] == ['-', '']
    assert rows['Dense'] == ['', '-']
    assert rows['Flatten'] == ['', '']


@pytest.mark.parametrize('rate', [1e-7, 0.01, 10])
def test_no_more_than_300_steps(flat, monkeypatch, rate):
    count, step = [0], Update.__call__
    monkeypatch.setattr(Update, '__call__', lambda *arguments: (count.append(1), step(*arguments)))
    x, y = flat
    for labels in (y, np.random.default_rng(0).permutation(y)):
        count.clear()
        dense().doctor(x, labels, learning_rate=rate)
        assert 10 < len(count) <= 300


def test_whether_a_rate_is_too_low_depends_on_the_epochs():
    x, y = numbers()
    assert names(regression(optimizer='adam').doctor(x, y, learning_rate=1e-5)) == {'rate_too_low'}
    assert regression(optimizer='adam').doctor(x, y, learning_rate=1e-5, epochs=500)


class AbsoluteError(Loss):
    def value_and_gradient(self, y, targets):
        difference = y - targets[:, np.newaxis]
        return np.abs(difference).mean(), np.sign(difference) / np.float32(len(y))


def test_a_loss_of_ones_own_is_compared_with_that_of_the_first_weights():
    x, y = numbers()
    layers = Dense(5, 32), ReLU(), Dense(output_size=1)
    assert_clean(network(*layers, loss=AbsoluteError()).doctor(x, y.astype('float32')))
    layers = Dense(5, 32), ReLU(), Dense(output_size=1)
    report = network(*layers, loss=AbsoluteError()).doctor(x, y.astype('float32'), learning_rate=1e-7)
    assert names(report, 'error') == {'rate_too_low'}
