"""What the doctor finds in activations and gradients of a first batch."""

import numpy as np
import pytest
from doctor_cases import dense, names, network, normal, the
from models import lenet5

from cnnx import Dense, ReLU, Sigmoid, Softmax, Tanh


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


def test_units_that_die_where_the_network_learns_nevertheless_are_worth_a_note(flat):
    report = dense(optimizer='sgd').doctor(*flat, learning_rate=0.7)
    finding = the(report, 'dead_units')
    assert (finding.severity, finding.layer) == ('note', 1)
    assert 'after some steps' in finding.message
    assert report


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
