"""What the doctor finds by training: learning rates, targets, overfitting a few samples."""

import numpy as np
import pytest
from doctor_cases import dense, names, network, numbers, regression, the
from models import lenet5

from cnnx import Dense, ReLU, Softmax


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
