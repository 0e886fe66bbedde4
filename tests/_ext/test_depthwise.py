"""Depthwise convolution: the compiled kernels and their block, on each tier, against their NumPy twins."""

import importlib

import numpy as np
import pytest
from block_cases import Depthwise, check
from hypothesis import given
from hypothesis import strategies as st
from tiers import every_tier

from cnnx._numpy import depthwise as twin
from cnnx._util.windows import window_over

pytestmark = pytest.mark.usefixtures('compiled_kernels')


def pairs(least, most):
    return st.tuples(st.integers(least, most), st.integers(least, most))


@every_tier
@given(data=st.data())
def test_any_depthwise_convolution(tier, data):
    draw = data.draw
    size, kernel, stride, dilation = (draw(pairs(1, most)) for most in (13, 4, 3, 3))
    padding = draw(st.one_of(st.just('same'), pairs(0, 4)))
    channels, samples, threads = draw(st.integers(1, 40)), draw(st.integers(1, 3)), draw(st.sampled_from([1, 3]))
    dtype = draw(st.sampled_from(['float32', 'float64']))
    try:
        window, positions = window_over(size, kernel, stride, padding, dilation)
    except ValueError:  # larger than the image
        return
    rng = np.random.default_rng(draw(st.integers(0, 9)))

    def numbers(*shape):
        return rng.normal(size=shape).astype(dtype)

    x, dy = numbers(samples, *size, channels), numbers(samples, *positions, channels)
    weights, bias = numbers(*kernel, 1, channels), numbers(channels)
    compiled, found = importlib.import_module(f'cnnx._ext.{tier}.depthwise'), []
    for kernels in compiled, twin:
        y, dx, dweights, dbias = (np.full_like(array, np.nan) for array in (dy, x, weights, bias))
        kernels.depthwise_forward(x, weights, bias, y, window, threads)
        kernels.depthwise_backward_weights(x, dy, dweights, dbias, window, threads)
        kernels.depthwise_backward_input(weights, dy, dx, window, threads)
        found.append((y, dx, dweights, dbias))
    tolerance = 2e-5 if dtype == 'float32' else 1e-12
    for ours, expected in zip(*found, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=tolerance, atol=tolerance * max(1, np.abs(expected).max()))


@every_tier
@given(data=st.data())
def test_any_block(tier, data):
    draw, small, pair = data.draw, st.integers(1, 4), st.tuples(st.integers(1, 3), st.integers(1, 3))
    kernel, dilation, padding = draw(st.tuples(small, small)), draw(pair), draw(st.sampled_from(['same', 'valid']))
    covered = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    image = tuple(draw(st.integers(1, 14)) for _ in range(2))
    image = image if padding == 'same' else tuple(map(max, image, covered))
    case = Depthwise(
        image, draw(st.integers(1, 40)), kernel, draw(pair), padding, dilation, draw(st.booleans()),
        draw(st.integers(1, 14)), draw(st.sampled_from(['float32', 'float64'])),
    )  # fmt: skip
    check(tier, case, draw(st.integers(0, 9)), (1, 3), spare=draw(st.integers(0, 3)))
