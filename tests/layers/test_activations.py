"""Activations: ReLU, LeakyReLU, Sigmoid, Tanh."""

import numpy as np
import pytest

import cnnx
from cnnx import ReLU

NAN, INF = np.nan, np.inf


@pytest.mark.usefixtures('each_backend')
def test_relu_keeps_nan_and_stops_its_gradient():
    layer = ReLU()
    y = layer.forward(np.array([[NAN, -1, 0, 2, INF, -INF]], np.float32))
    np.testing.assert_array_equal(y, [[NAN, 0, 0, 2, INF, 0]])
    assert layer.backward(np.ones((1, 6))).tolist() == [[0, 0, 0, 1, 1, 0]]


@pytest.mark.usefixtures('each_backend')
def test_sigmoid_does_not_overflow():
    y = cnnx.Sigmoid().forward(np.array([[-1e4, 0, 1e4, NAN]], np.float32))
    np.testing.assert_array_equal(y, [[0, 0.5, 1, NAN]])
