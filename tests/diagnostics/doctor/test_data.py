"""What the doctor finds in the data: scale, layout, labels, targets."""

import numpy as np
import pytest
from doctor_cases import assert_clean, dense, names, network, numbers, regression, the
from models import lenet5

from cnnx import BatchNormalization, Convolutional, Dense, Flatten, MeanSquaredError, ReLU, Sigmoid, Softmax, Tanh


@pytest.mark.parametrize('n', [1, 2, 3, 5, 30])
def test_few_samples_are_worth_a_note(flat, n):
    report = dense().doctor(flat[0][:n], flat[1][:n])
    assert names(report) - {'input_flattened'} == {'few_samples'}
    assert report


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
