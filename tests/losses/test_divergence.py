"""Kullback-Leibler divergence."""

import numpy as np
import pytest
from loss_cases import value

from cnnx import CategoricalCrossEntropy, Dense, KLDivergence, Network, Softmax


def test_it_is_0_where_predictions_are_the_targets_and_else_by_the_formula():
    t, p = np.array([[0.5, 0.5, 0], [0.2, 0.3, 0.5]]), np.array([[0.25, 0.5, 0.25], [0.2, 0.3, 0.5]])
    assert value(KLDivergence(), p, t) == pytest.approx(0.5 * np.log(2) / 2)
    assert value(KLDivergence(), t, t) == pytest.approx(0, abs=1e-15)


@pytest.mark.usefixtures('each_backend')
@pytest.mark.parametrize('dtype', [np.float32, np.float64])
def test_after_softmax_it_is_exact_where_probabilities_round_to_0(dtype):
    softmax, loss = Softmax(), KLDivergence()
    y = softmax.forward(np.array([[1e4, 0.0], [0.0, 0.0]], dtype))
    found, dy = loss.value_and_gradient(y, [[0.5, 0.5], [0, 1]])
    assert found == pytest.approx((0.5 * 1e4 - np.log(2) + np.log(2)) / 2)
    assert np.isfinite(dy).all()
    assert softmax.backward(dy).tolist() == [[0.25, -0.25], [0.25, -0.25]]


@pytest.mark.usefixtures('each_backend')
def test_one_hot_targets_make_it_cross_entropy():
    rng = np.random.default_rng(0)
    x, labels, weights = rng.normal(size=(3, 4, 5)), rng.integers(0, 5, (3, 4)), rng.random((3, 4))
    results = []
    for loss, targets in ((KLDivergence(), np.eye(5)[labels]), (CategoricalCrossEntropy(), labels)):
        softmax = Softmax()
        found, dy = loss.value_and_gradient(softmax.forward(x), targets, weights)
        results.append((found, softmax.backward(dy)))
    assert results[0][0] == pytest.approx(results[1][0])
    np.testing.assert_allclose(results[0][1], results[1][1], rtol=1e-9, atol=1e-15)


def test_rows_that_do_not_sum_to_1_are_named():
    targets = np.full((3, 2, 2), 0.5)
    targets[1, 1] = 0.75
    with pytest.raises(ValueError, match=r'targets: expected rows .* sum to 1, row \(1, 1\) sums to 1.5'):
        value(KLDivergence(), np.full((3, 2, 2), 0.5), targets)
    with pytest.raises(ValueError, match=r'expected numbers from 0 to 1, got -0.5 at position \(0, 1\)'):
        value(KLDivergence(), np.full((1, 2), 0.5), [[1.0, -0.5]])


def test_a_network_evaluates_it_from_logits():
    net = Network([Dense(2, 2), Softmax()], seed=0)
    net.layers[0].weights = np.eye(2)
    net.compile('kl_divergence')
    x, targets = np.array([[1000.0, 0.0]]), np.array([[0.5, 0.5]])
    assert net.evaluate(x, targets)['loss'] == net.train_on_batch(x, targets, learning_rate=0)['loss'] > 499
