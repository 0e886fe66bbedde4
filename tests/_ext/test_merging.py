"""The blocks where branches meet or part, compiled and of NumPy."""

import itertools

import numpy as np
import pytest
from block_cases import compiled, twins
from tiers import every_tier

from cnnx._util.arrays import array_with_slack

pytestmark = pytest.mark.usefixtures('compiled_kernels')


def filled(shape, seed, dtype):
    array = array_with_slack(shape, dtype)
    array[...] = np.random.default_rng(seed).normal(size=shape)
    return array


@pytest.mark.parametrize('backend', ['compiled', 'numpy'])
@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@pytest.mark.parametrize('in_place', [False, True])
@every_tier
def test_addition(tier, in_place, dtype, backend):
    blocks = compiled(tier) if backend == 'compiled' else twins()
    for count, batch, shape in itertools.product((2, 3), (1, 5, 30), ((1,), (3, 5, 2), (33,))):
        xs = [filled((batch, *shape), seed, dtype) for seed in range(count)]
        dy, dxs = filled((batch, *shape), 9, dtype), [np.zeros((batch, *shape), dtype) for _ in xs]
        expected, gradient = sum(xs[1:], xs[0]), dy.copy()
        y = xs[0] if in_place else np.empty_like(xs[0])
        dxs = [dy if in_place else dxs[0], None, *dxs[2:]]
        blocks.Program([blocks.AddBlock(xs, y, dy, dxs)], batch).run(batch, True, True, True, 2)
        np.testing.assert_array_equal(y, expected)
        for dx in (dxs[0], *dxs[2:]):
            np.testing.assert_array_equal(dx, gradient)


@pytest.mark.parametrize('backend', ['compiled', 'numpy'])
@every_tier
def test_gradients_of_several_readers_are_added_up(tier, backend):
    blocks = compiled(tier) if backend == 'compiled' else twins()
    dy, *others = (filled((30, 7, 3), seed, 'float32') for seed in range(3))
    expected = dy + others[0] + others[1]
    blocks.Program([blocks.ForkBlock(dy, others)], 30).run(30, True, False, True, 2)
    np.testing.assert_array_equal(dy, expected)


@pytest.mark.parametrize('backend', ['compiled', 'numpy'])
@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@pytest.mark.parametrize('axis', [1, 2, 3])
@every_tier
def test_concatenation(tier, axis, dtype, backend):
    blocks = compiled(tier) if backend == 'compiled' else twins()
    shapes = [[30, 4, 5, 6] for _ in range(3)]
    shapes[1][axis], shapes[2][axis] = 1, 9
    xs = [filled(shape, seed, dtype) for seed, shape in enumerate(shapes)]
    expected = np.concatenate(xs, axis)
    y, dy = np.empty_like(expected), filled(expected.shape, 5, dtype)
    dxs = [np.empty_like(xs[0]), None, np.empty_like(xs[2])]
    blocks.Program([blocks.ConcatenateBlock(xs, y, axis, dy, dxs)], 30).run(30, True, True, True, 2)
    np.testing.assert_array_equal(y, expected)
    ends = np.cumsum([shape[axis] for shape in shapes])[:-1]
    first, _, last = np.split(dy, ends, axis)
    np.testing.assert_array_equal(dxs[0], first)
    np.testing.assert_array_equal(dxs[2], last)
