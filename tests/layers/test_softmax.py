"""Softmax: any numbers become probabilities."""

import numpy as np
import pytest

from cnnx import LogSoftmax, Softmax

pytestmark = pytest.mark.usefixtures('each_backend')


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
def test_each_row_is_that_of_the_formula_and_sums_to_1(dtype):
    x = np.random.default_rng(0).normal(scale=3, size=(50, 7)).astype(dtype)
    y = Softmax().forward(x)
    rtol = {'float32': 2e-6, 'float64': 1e-14}[dtype]
    exponentials = np.exp(x.astype('f8'))
    np.testing.assert_allclose(y, exponentials / exponentials.sum(axis=1, keepdims=True), rtol=rtol)
    np.testing.assert_allclose(y.sum(axis=1), 1, rtol=rtol)


def test_the_gradient_is_that_of_the_jacobian():
    layer, rng = Softmax(), np.random.default_rng(0)
    dy, y = rng.normal(size=(1, 4)), layer.forward(rng.normal(size=(1, 4)))
    jacobian = np.diag(y[0]) - np.outer(y[0], y[0])
    np.testing.assert_allclose(layer.backward(dy), dy @ jacobian, atol=1e-15)


def test_numbers_far_from_0_do_not_overflow():
    y = Softmax().forward(np.array([[1e4, 1e4, -1e4], [-1e30, -1e30, -1e30]], np.float32))
    np.testing.assert_allclose(y, [[0.5, 0.5, 0], [1 / 3, 1 / 3, 1 / 3]], rtol=1e-6)


@pytest.mark.parametrize('row', [[0, 1, 2], [5.0, -7, 0.5]])
def test_adding_a_number_to_a_row_changes_nothing(row):
    y = Softmax().forward(np.array([row, np.add(row, 100)], 'f8'))
    np.testing.assert_allclose(y[0], y[1], rtol=1e-12)


def test_positions_are_rows():
    rng = np.random.default_rng(0)
    x, dy = rng.normal(size=(2, 3, 4, 5, 6))
    maps, rows = Softmax(), Softmax()
    y = maps.forward(x)
    assert y.shape == x.shape
    np.testing.assert_array_equal(y.reshape(-1, 6), rows.forward(x.reshape(-1, 6)))
    np.testing.assert_array_equal(maps.backward(dy).reshape(-1, 6), rows.backward(dy.reshape(-1, 6)))


def test_log_softmax_is_the_logarithm_of_softmax_and_does_not_overflow():
    x = np.random.default_rng(0).normal(scale=3, size=(5, 4, 7))
    np.testing.assert_allclose(LogSoftmax().forward(x), np.log(Softmax().forward(x)), rtol=1e-12)
    assert LogSoftmax().forward(np.array([[1e4, 0.0]])).tolist() == [[0, -1e4]]
