"""Activations: ReLU, LeakyReLU, Sigmoid, Tanh."""

import math

import numpy as np
import pytest

from cnnx import LeakyReLU, ReLU, Sigmoid, Tanh

NAN, INF = np.nan, np.inf
BY_FORMULA = {
    'ReLU': (ReLU(), lambda x: max(x, 0)),
    'LeakyReLU': (LeakyReLU(0.2), lambda x: x if x > 0 else 0.2 * x),
    'Sigmoid': (Sigmoid(), lambda x: 1 / (1 + math.exp(-x))),
    'Tanh': (Tanh(), math.tanh),
}


@pytest.mark.usefixtures('each_backend')
@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@pytest.mark.parametrize('name', BY_FORMULA)
def test_each_number_is_that_of_the_formula(name, dtype):
    layer, formula = BY_FORMULA[name]
    x = np.linspace(-9, 9, 1001).reshape(7, 11, 13).astype(dtype)
    expected = [formula(number) for number in x.reshape(-1).tolist()]
    y = type(layer)(**layer.settings()).forward(x)
    assert (y.shape, y.dtype) == (x.shape, dtype)
    np.testing.assert_allclose(y.reshape(-1), expected, rtol={'float32': 1e-6, 'float64': 1e-14}[dtype])


@pytest.mark.usefixtures('each_backend')
def test_gradients_by_hand():
    x, dy = np.array([[-1.0, 2.0]]), np.array([[10.0, 100.0]])
    for layer, expected in (
        (ReLU(), [0, 100]),
        (LeakyReLU(0.2), [2, 100]),
        (Sigmoid(), [10 * math.exp(-1) / (1 + math.exp(-1)) ** 2, 100 * math.exp(-2) / (1 + math.exp(-2)) ** 2]),
        (Tanh(), [10 / math.cosh(1) ** 2, 100 / math.cosh(2) ** 2]),
    ):
        layer.forward(x)
        np.testing.assert_allclose(layer.backward(dy), [expected], rtol=1e-12)


@pytest.mark.usefixtures('each_backend')
def test_relu_keeps_nan_and_stops_its_gradient():
    layer = ReLU()
    y = layer.forward(np.array([[NAN, -1, 0, 2, INF, -INF]], np.float32))
    np.testing.assert_array_equal(y, [[NAN, 0, 0, 2, INF, 0]])
    assert layer.backward(np.ones((1, 6))).tolist() == [[0, 0, 0, 1, 1, 0]]


@pytest.mark.usefixtures('each_backend')
def test_sigmoid_does_not_overflow():
    y = Sigmoid().forward(np.array([[-1e4, 0, 1e4, NAN]], np.float32))
    np.testing.assert_array_equal(y, [[0, 0.5, 1, NAN]])


@pytest.mark.usefixtures('each_backend')
def test_a_leaky_relu_of_slope_0_is_a_relu_and_one_of_slope_1_changes_nothing():
    x = np.random.default_rng(0).normal(size=(5, 4))
    np.testing.assert_array_equal(LeakyReLU(0).forward(x), ReLU().forward(x))
    np.testing.assert_array_equal(LeakyReLU(1).forward(x), x)


@pytest.mark.parametrize('wrong', [-0.1, NAN, INF, '0.1', None, True])
def test_a_slope_that_is_no_number_of_at_least_0_is_refused(wrong):
    with pytest.raises(ValueError, match='negative_slope: expected a finite number of at least 0'):
        LeakyReLU(wrong)
