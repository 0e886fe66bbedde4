"""Winograd's convolution: kernels and block, against the direct convolution and against their NumPy twins."""

import importlib

import numpy as np
import pytest
from block_cases import Winograd, check
from hypothesis import given
from hypothesis import strategies as st
from tiers import every_tier

from cnnx import _numpy
from cnnx._util.windows import Window, window_over

pytestmark = pytest.mark.usefixtures('compiled_kernels')
# (image, channels, filters, padding, batch)
CASES = (
    ((8, 8), 3, 5, 'same', 2),
    ((7, 9), 16, 8, 'valid', 3),
    ((3, 3), 8, 9, 'valid', 1),
    ((1, 1), 2, 3, 'same', 2),
    ((5, 6), 9, 17, (2, 1), 2),
    ((4, 4), 1, 1, (3, 4), 2),
    ((12, 12), 32, 32, 'same', 1),
    ((14, 15), 24, 40, 'same', 5),
    ((6, 40), 65, 7, 'same', 20),
)


def kernels(package, name):
    module = importlib.import_module(f'{package}.{name}')
    return [getattr(module, f'{name}_{of}') for of in ('forward', 'backward_weights', 'backward_input')]


def results(kernels, case, dtype, threads=1, shift=0.0):
    """Return y, dweights, dbias and dx of a case."""
    image, channels, filters, padding, batch = case
    window, positions = window_over(image, (3, 3), (1, 1), padding)
    rng = np.random.default_rng(0)

    def draw(*shape):
        return (rng.normal(size=shape) + shift).astype(dtype)

    x, weights, bias = draw(batch, *image, channels), draw(3, 3, channels, filters), draw(filters)
    dy = draw(batch, *positions, filters)
    y, dweights, dbias, dx = (np.empty_like(array) for array in (dy, weights, bias, x))
    forward, backward_weights, backward_input = kernels
    forward(x, weights, bias, y, window, threads)
    backward_weights(x, dy, dweights, dbias, window, threads)
    backward_input(weights, dy, dx, window, threads)
    return y, dweights, dbias, dx


@every_tier
@pytest.mark.parametrize('case', CASES)
def test_kernels_agree_with_the_direct_convolution(tier, case):
    direct = results(kernels(_numpy.__name__, 'convolution'), case, 'float64')
    for package in (f'cnnx._ext.{tier}', _numpy.__name__):
        for ours, expected in zip(results(kernels(package, 'winograd'), case, 'float64'), direct, strict=True):
            np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-12 * max(1, np.abs(expected).max()))


@every_tier
@pytest.mark.parametrize('shift', [0, 1])
def test_errors_in_float32_are_within_bounds(tier, shift):
    """The root of the mean square of errors, in parts of that of what is exact: about twice the measured ones."""
    case = ((16, 16), 64, 64, 'same', 8)
    exact = results(kernels(_numpy.__name__, 'convolution'), case, 'float64', shift=shift)
    ours = results(kernels(f'cnnx._ext.{tier}', 'winograd'), case, 'float32', shift=shift)
    for name, bound, found, expected in zip(('y', 'dweights', 'dbias', 'dx'), BOUNDS, ours, exact, strict=True):
        error = np.sqrt(np.mean((found - expected) ** 2) / np.mean(expected**2))
        assert error < bound, f'{name}: {error}'


BOUNDS = (2e-6, 1.2e-6, 2e-6, 2e-6)


@every_tier
def test_the_gradient_of_the_bias_is_accurate_for_many_samples(tier):
    case = ((32, 32), 1, 8, 'same', 100)
    exact = results(kernels(_numpy.__name__, 'winograd'), case, 'float64', shift=1)[2]
    ours = results(kernels(f'cnnx._ext.{tier}', 'winograd'), case, 'float32', shift=1)[2]
    np.testing.assert_allclose(ours, exact, rtol=3e-6)


@every_tier
def test_bits_do_not_depend_on_the_number_of_threads(tier):
    ours = [results(kernels(f'cnnx._ext.{tier}', 'winograd'), CASES[-1], 'float32', threads) for threads in (1, 2, 5)]
    for other in ours[1:]:
        assert [array.tobytes() for array in other] == [array.tobytes() for array in ours[0]]


@every_tier
@given(data=st.data())
def test_any_block(tier, data):
    draw = data.draw
    case = Winograd(
        image=(draw(st.integers(1, 14)), draw(st.integers(1, 20))), channels=draw(st.integers(1, 34)),
        filters=draw(st.integers(1, 34)), padding=draw(st.sampled_from(['same', 'valid'])), relu=draw(st.booleans()),
        dx=draw(st.booleans()), batch=draw(st.integers(1, 30)), dtype=draw(st.sampled_from(['float32', 'float64'])),
    ).fitted()  # fmt: skip
    check(tier, case, draw(st.integers(0, 9)), (1, 3), whole=False, spare=draw(st.integers(0, 3)))


@every_tier
def test_other_windows_are_refused(tier):
    x, weights, bias = np.zeros((1, 8, 8, 2)), np.zeros((3, 3, 2, 4)), np.zeros(4)
    y = np.zeros((1, 8, 8, 4))
    for package in (f'cnnx._ext.{tier}', _numpy.__name__):
        for window in (Window(5, 5, 1, 1), Window(3, 3, 2, 1)):
            with pytest.raises(ValueError, match='expected 3 x 3 with stride 1'):
                kernels(package, 'winograd')[0](x, weights, bias, y, window, 1)
