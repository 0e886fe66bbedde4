"""The convolution kernels on every tier, and windows that they refuse."""

import importlib

import numpy as np
import pytest
from hostile import each_backend, kernels_of
from tiers import every_tier

import cnnx
from cnnx import kernels
from cnnx._util.windows import Window, window_over


@every_tier
def test_every_tier_that_runs_here_computes_the_same(tier):
    convolution = importlib.import_module(f'cnnx._ext.{tier}.convolution')
    rng = np.random.default_rng(0)
    window, positions = window_over((9, 8), (3, 2), (2, 1), 'same')
    for dtype, tolerance in (('float32', 2e-5), ('float64', 1e-12)):
        x = rng.normal(size=(3, 9, 8, 5)).astype(dtype)
        weights = rng.normal(size=(3, 2, 5, 19)).astype(dtype)
        bias = rng.normal(size=19).astype(dtype)
        ours, expected = (np.empty((3, *positions, 19), dtype) for _ in range(2))
        convolution.convolution_forward(x, weights, bias, ours, window, 2)
        with cnnx.use_backend('numpy'):
            kernels.current().convolution_forward(x, weights, bias, expected, window, 2)
        np.testing.assert_allclose(ours, expected, rtol=tolerance, atol=tolerance)


@each_backend
@pytest.mark.parametrize('height', [3, 2**31 - 1, 2**62])
def test_a_window_that_no_image_has_is_refused_before_memory_is_taken(backend, height):
    k, x, y = kernels_of(backend), np.zeros((1, 4, 4, 1)), np.zeros((1, 2, 2, 1))
    weights, window = np.zeros((2, 2, 1, 1)), Window(height, 2, 2, 2)
    for call in (
        lambda: k['convolution_forward'](x, weights, np.zeros(1), y, window, 1),
        lambda: k['convolution_backward_weights'](x, y, weights, np.zeros(1), window, 1),
        lambda: k['convolution_backward_input'](weights, y, x, window, 1),
    ):
        with pytest.raises(ValueError, match='window|weights'):
            call()
