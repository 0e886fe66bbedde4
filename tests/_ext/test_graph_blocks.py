"""The blocks of networks that branch and enlarge images, and of depthwise convolutions, against their NumPy twins."""

import itertools

import numpy as np
import pytest
from block_cases import Depthwise, Interpolation, TransposedConvolution, check, compiled, twins
from hypothesis import given
from hypothesis import strategies as st
from tiers import every_tier

from cnnx._util.arrays import array_with_slack

pytestmark = pytest.mark.usefixtures('compiled_kernels')

DTYPES = st.sampled_from(['float32', 'float64'])


@every_tier
@given(data=st.data())
def test_any_depthwise_convolution(tier, data):
    draw, small, pair = data.draw, st.integers(1, 4), st.tuples(st.integers(1, 3), st.integers(1, 3))
    kernel, dilation, padding = draw(st.tuples(small, small)), draw(pair), draw(st.sampled_from(['same', 'valid']))
    covered = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    image = tuple(draw(st.integers(1, 14)) for _ in range(2))
    image = image if padding == 'same' else tuple(map(max, image, covered))
    case = Depthwise(
        image, draw(st.integers(1, 40)), kernel, draw(pair), padding, dilation, draw(st.booleans()),
        draw(st.integers(1, 14)), draw(DTYPES),
    )  # fmt: skip
    check(tier, case, draw(st.integers(0, 9)), (1, 3), spare=draw(st.integers(0, 3)))


@every_tier
@given(data=st.data())
def test_any_transposed_convolution(tier, data):
    draw, small = data.draw, st.integers(1, 4)
    case = TransposedConvolution(
        (draw(st.integers(1, 9)), draw(st.integers(1, 9))), draw(st.integers(1, 40)), draw(st.integers(1, 20)),
        (draw(small), draw(small)), (draw(small), draw(small)), draw(st.booleans()), draw(st.integers(1, 14)),
        draw(DTYPES),
    )  # fmt: skip
    check(tier, case, draw(st.integers(0, 9)), (1, 3), spare=draw(st.integers(0, 3)))


@every_tier
@pytest.mark.parametrize('dtype', ['float32', 'float64'])
def test_interpolation(tier, dtype):
    for image, larger, channels in itertools.product(((1, 1), (2, 5), (7, 3)), ((7, 7), (14, 9)), (1, 3, 8, 17)):
        case = Interpolation(image, larger, channels, dx=channels != 3, batch=channels, dtype=dtype)
        check(tier, case, threads=(1, 3), whole=False, spare=1)


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
