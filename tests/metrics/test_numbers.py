"""Metrics of numbers: binary accuracy, mean absolute error, R^2."""

import numpy as np
import pytest

from cnnx.metrics import METRICS, R2, BinaryAccuracy, MeanAbsoluteError, NumberMetric, get_metric

NAMES = [name for name, kind in METRICS.items() if issubclass(kind, NumberMetric)]


def result(metric, predictions, targets):
    metric = get_metric(metric)
    metric.update(predictions, targets)
    return metric.result()


def test_binary_accuracy_is_that_of_each_label():
    assert result('binary_accuracy', [[0.9, 0.2, 0.5], [0.1, 0.6, 0.7]], [[1, 0, 0], [1, 1, 0]]) == 4 / 6
    assert result(BinaryAccuracy(threshold=0), [[-1.0], [0.2]], [0, 1]) == 1
    assert result('binary_accuracy', [[np.nan, np.nan, 1]], [[0, 1, 1]]) == 1 / 3


def test_mean_absolute_error():
    assert result('mean_absolute_error', [[1, 2], [3, 5]], [[0, 2], [3.5, 3]]) == 3.5 / 4


def test_r2_by_hand():
    """As scikit-learn's r2_score, whose documentation has these examples."""
    assert result('r2', [[2.5], [0.0], [2], [8]], [3, -0.5, 2, 7]) == pytest.approx(0.9486081370449679)
    two = result('r2', [[0, 2], [-1, 2], [8, -5]], [[0.5, 1], [-1, 1], [7, -6]])
    assert two == pytest.approx(0.9368005266622779)
    assert result('r2', [[2.0], [2], [2]], [1, 2, 3]) == 0
    assert result('r2', [[3.0], [2], [1]], [1, 2, 3]) == -3


def test_r2_of_targets_that_are_all_equal():
    assert result('r2', [[0.1], [0.1], [0.1]], [0.1] * 3) == 1
    assert result('r2', [[0.1], [0.2], [0.1]], [0.1] * 3) == 0


def test_r2_keeps_its_digits_far_from_0():
    rng = np.random.default_rng(0)
    t = rng.normal(size=(1000, 1))
    y = t + rng.normal(size=(1000, 1)) / 3
    assert result('r2', y + 1e6, t + 1e6) == pytest.approx(result('r2', y, t), rel=1e-6)


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize('shape', [(30, 1), (30, 4), (30, 3, 2, 2)])
def test_batches_add_up_to_all_samples(name, shape):
    rng = np.random.default_rng(0)
    y, t = rng.random(shape), rng.integers(0, 2, shape)
    metric, rows = get_metric(name), (y.reshape(-1, shape[-1]), t.reshape(-1, shape[-1]))
    for part in (slice(0, 1), slice(1, 7), slice(7, 7), slice(7, 30)):
        metric.update(y[part], t[part])
    expected = {
        'binary_accuracy': ((y > 0.5) == t).mean(),
        'mean_absolute_error': np.abs(y - t).mean(),
        'r2': (1 - np.square(rows[0] - rows[1]).mean(axis=0) / rows[1].var(axis=0)).mean(),
    }
    assert metric.result() == pytest.approx(expected[name])
    assert type(metric.result()) is float
    metric.reset()
    with pytest.raises(RuntimeError, match=f'{name}: no samples yet'):
        metric.result()


@pytest.mark.parametrize('name', NAMES)
def test_a_refused_update_counts_nothing(name):
    metric = get_metric(name)
    metric.update([[0.1, 0.9], [0.4, 0.6]], [[0, 1], [1, 0]])
    before = metric.result()
    for predictions, targets, message in (
        ([[0.1, 0.9]], [0], r'targets: expected shape \(N, 2\), got \(1,\)'),
        ([[0.1, 0.9]], [[0, 1], [0, 1]], 'expected 1 targets, one a prediction, got 2'),
        ([0.1, 0.9], [0, 1], r'predictions: expected \(N, outputs\), got \(2,\)'),
        ([['a', 'b']], [[0, 1]], 'predictions: expected numbers'),
    ):
        with pytest.raises(ValueError, match=f'{name}: {message}'):
            metric.update(predictions, targets)
    assert metric.result() == before


def test_what_they_hold_does_not_grow_with_the_samples():
    held = []
    for n in (10, 10_000):
        metric = R2()
        metric.update(np.random.default_rng(0).random((n, 3)), np.random.default_rng(1).random((n, 3)))
        held.append(sum(np.asarray(value).nbytes for value in vars(metric).values()))
    assert held[0] == held[1] < 200


def test_a_threshold_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match='threshold: expected a number'):
        BinaryAccuracy('0.5')


def test_they_print_as_the_call_that_makes_them():
    assert repr(BinaryAccuracy(0.3)) == 'BinaryAccuracy(threshold=0.3)'
    assert repr(MeanAbsoluteError()) == 'MeanAbsoluteError()'
