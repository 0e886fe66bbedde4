"""The vectorized activations of float32: how near they come, and that a number's place makes no difference."""

import importlib

import numpy as np
import pytest
from tiers import every_tier

pytestmark = pytest.mark.usefixtures('compiled_kernels')


def numbers():
    """Return numbers of all exponents, signs and kinds of mantissa, and those next to where formulas change."""
    mantissas = np.array([0, 1, 2, 0x2AAAAA, 0x400000, 0x555555, 0x7FFFFE, 0x7FFFFF], np.uint32)
    mantissas = np.concatenate([mantissas, np.random.default_rng(0).integers(0, 2**23, 500, dtype=np.uint32)])
    x = ((np.arange(256, dtype=np.uint32) << 23)[:, None] | mantissas).reshape(-1).view(np.float32)
    near = np.array([0.625, 0.3465736, 9.0, 52.0, 87.33655, 88.72284, 103.97208, 104.0], np.float32)
    steps = np.arange(-300, 300, dtype=np.int32)
    x = np.concatenate([x, (near.view(np.int32)[:, None] + steps).reshape(-1).view(np.float32)])
    return np.concatenate([x, -x, np.linspace(-20, 20, 40_001, dtype=np.float32)])


def forward(tier, kind, x):
    y = np.full_like(x, 77)
    getattr(importlib.import_module(f'cnnx._ext.{tier}.activations'), f'{kind}_forward')(x, y, 1)
    return y


def exact(kind, x):
    with np.errstate(all='ignore'):
        x = x.astype(np.float64)
        small = np.exp(-np.abs(x))
        if kind == 'softplus':
            return np.logaddexp(0, x).astype(np.float32)
        return (np.tanh(x) if kind == 'tanh' else np.where(x > 0, 1, small) / (1 + small)).astype(np.float32)


@every_tier
@pytest.mark.parametrize(('kind', 'most'), [('tanh', 1), ('sigmoid', 2), ('softplus', 3)])
def test_they_are_as_near_as_floats_get(tier, kind, most):
    x = numbers()
    ours, expected = forward(tier, kind, x), exact(kind, x)
    np.testing.assert_array_equal(np.isnan(ours), np.isnan(x))
    there = ~np.isnan(x)
    assert (np.signbit(ours) == np.signbit(expected))[there].all()
    # Denormals count as 0, also those on the way to a result.
    tiny = there & (np.abs(expected) < 1e-37)
    assert (np.abs(ours[tiny] - expected[tiny]) < 1e-37).all()
    there &= ~tiny
    apart = np.abs(ours[there].view(np.int32).astype(np.int64) - expected[there].view(np.int32))
    assert apart.max() <= most, f'{apart.max()} ulp at {x[there][apart.argmax()]!r}'


@every_tier
@pytest.mark.parametrize('kind', ['tanh', 'sigmoid'])
def test_the_ends_are_exact(tier, kind):
    x = np.array([np.inf, -np.inf, 0, -0.0, 100, -1000, 1e-37], np.float32)
    least = {'tanh': [1, -1, 0, -0.0, 1, -1, 1e-37], 'sigmoid': [1, 0, 0.5, 0.5, 1, 0, 0.5]}[kind]
    assert forward(tier, kind, x).tobytes() == np.array(least, np.float32).tobytes()


@every_tier
@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@pytest.mark.parametrize('kind', ['tanh', 'sigmoid', 'softplus', 'silu', 'gelu', 'hard_swish'])
def test_a_numbers_place_changes_no_bit(tier, kind, dtype):
    x = 4 * np.random.default_rng(0).normal(size=150).astype(dtype)
    whole = forward(tier, kind, x)
    for first in range(20):
        for last in range(first, 80):
            assert forward(tier, kind, x[first:last]).tobytes() == whole[first:last].tobytes()
