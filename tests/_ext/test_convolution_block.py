"""The convolution block against its NumPy twin: sizes, strides, padding, pooling, ReLU."""

import itertools

import numpy as np
import pytest
from block_cases import BATCHES, HAND_PICKED, LENET, THREADS, Arrays, Convolution, check, compiled, run, twins
from hypothesis import given
from hypothesis import strategies as st
from tiers import every_tier

pytestmark = pytest.mark.usefixtures('compiled_kernels')
CHANNELS = (1, 2, 3, 5, 6, 8, 16, 17, 32, 48)
FILTERS = (1, 2, 5, 6, 8, 15, 16, 17, 31, 32, 33, 64)
KERNELS = ((1, 1), (3, 3), (5, 5), (7, 7), (1, 3), (5, 2), (2, 7))
STRIDES = ((1, 1), (2, 2), (3, 3), (1, 2), (3, 1))
# (pool, its stride); stride None is the pool's size.
POOLS = (
    (None, None), ((2, 2), None), ((3, 3), None), ((2, 1), None), ((3, 2), None), ((3, 3), (2, 2)), ((2, 2), (3, 3)),
    ((1, 1), None), ((1, 1), (2, 2)), ((2, 3), (1, 4)), ((3, 2), (1, 1)),
)  # fmt: skip


def drawn_cases(count, seed):
    """Cases that mix the sizes above, drawn once."""
    rng = np.random.default_rng(seed)

    def pick(options):
        return options[rng.integers(len(options))]

    for _ in range(count):
        pool, pool_stride = pick(POOLS)
        yield Convolution(
            image=(int(rng.integers(1, 24)), int(rng.integers(1, 24))), channels=pick(CHANNELS), filters=pick(FILTERS),
            kernel=pick(KERNELS), stride=pick(STRIDES), padding=pick(('same', 'valid')), pool=pool,
            pool_stride=pool_stride, relu=bool(rng.integers(2)), dx=bool(rng.integers(4)), batch=pick(BATCHES),
            dtype=pick(('float32', 'float64')),
        ).fitted()  # fmt: skip


def test_the_drawn_cases_cover_the_sizes():
    cases = list(drawn_cases(120, 0))
    for field, options in (('channels', CHANNELS), ('filters', FILTERS), ('kernel', KERNELS), ('stride', STRIDES)):
        assert {getattr(case, field) for case in cases} == set(options)
    assert {(case.pool, case.pool_stride) for case in cases} == set(POOLS)


@every_tier
@pytest.mark.parametrize('part', range(4))
def test_drawn_convolutions(tier, part):
    for place, case in enumerate(drawn_cases(120, 0)):
        if place % 4 == part:
            check(tier, case, seed=place, threads=(1, THREADS[place % 5]), spare=place % 3)


@every_tier
@given(data=st.data())
def test_any_convolution(tier, data):
    draw = data.draw
    pool, pool_stride = draw(st.sampled_from(POOLS))
    small = st.integers(1, 5)
    case = Convolution(
        image=(draw(st.integers(1, 20)), draw(st.integers(1, 40))), channels=draw(st.integers(1, 9)),
        filters=draw(st.integers(1, 35)), kernel=(draw(small), draw(small)), stride=(draw(small), draw(small)),
        padding=draw(st.sampled_from(['same', 'valid'])), pool=pool, pool_stride=pool_stride,
        relu=draw(st.booleans()), dx=draw(st.booleans()), batch=draw(st.integers(1, 12)),
        dtype=draw(st.sampled_from(['float32', 'float64'])),
    ).fitted()  # fmt: skip
    check(tier, case, draw(st.integers(0, 9)), (1, draw(st.sampled_from(THREADS))), spare=draw(st.integers(0, 3)))


@every_tier
@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@pytest.mark.parametrize('name', HAND_PICKED)
def test_hand_picked_convolutions(tier, name, dtype):
    check(tier, HAND_PICKED[name]._replace(dtype=dtype), threads=(1, 3))


@every_tier
@pytest.mark.parametrize('relu', [True, False])
def test_every_number_of_filters_and_of_channels(tier, relu):
    pools = itertools.cycle([None, (2, 2)])
    for filters, pool in zip(FILTERS, pools, strict=False):
        for other in (pool, None if pool else (2, 2)):
            check(tier, Convolution((7, 9), 2, filters, pool=other, relu=relu), threads=(1, 2))
    for channels in CHANNELS:
        check(tier, Convolution((6, 7), channels, 5, padding='same', pool=(2, 2), relu=relu), threads=(1, 2))


@every_tier
@pytest.mark.parametrize(('filters', 'columns'), [(3, 40), (17, 9)])
@pytest.mark.parametrize('pool', [((2, 2), None), ((3, 3), (2, 2)), ((3, 3), None)])
def test_the_first_of_equals_wins(tier, filters, columns, pool):
    case = Convolution((9, columns), 2, filters, (3, 3), (1, 1), 'valid', *pool, relu=False)
    results = []
    for backend in (twins(), compiled(tier)):
        arrays = Arrays(case.shapes(), case.batch, case.dtype)
        arrays.fill(0, whole=True)
        arrays.x[...] = 1
        run(backend, case, arrays, 1)
        results.append(arrays.results())
    for name, value in results[0].items():
        np.testing.assert_array_equal(results[1][name], value)


@every_tier
@pytest.mark.parametrize('odd', [np.nan, np.inf])
@pytest.mark.parametrize(
    'case',
    [
        Convolution((9, 9), 2, 17),
        Convolution((9, 9), 2, 3, pool=(2, 2)),
    ],
)
def test_an_odd_gradient_stays_in_its_sample(tier, odd, case):
    """After pooling it also reaches pixels beside its window: see simd/convolution_sparse_backward.h."""
    results = []
    for backend in (twins(), compiled(tier)):
        arrays = Arrays(case.shapes(), case.batch, case.dtype)
        arrays.fill(0, whole=True)
        arrays.weights[arrays.weights == 0] = 1
        arrays.bias[...] = 1000
        arrays.dy[0, 1, 1, 1] = odd
        with np.errstate(all='ignore'):
            run(backend, case, arrays, 1)
        results.append(arrays.results())
    expected, ours = (np.isfinite(result['dx']) for result in results)
    assert not (ours & ~expected).any()
    assert ours[1:].all()
    if case.pool is None:
        np.testing.assert_array_equal(ours, expected)


@every_tier
def test_inference_keeps_nothing_and_gives_the_same(tier):
    for case in (*LENET, Convolution((9, 40), 2, 3), Convolution((9, 9), 2, 33, pool=(3, 3), pool_stride=(1, 1))):
        arrays = Arrays(case.shapes(), case.batch, case.dtype)
        arrays.fill(0, whole=False)
        backend = compiled(tier)
        run(backend, case, arrays, 1, passes=(True, False))
        expected = arrays.y.copy()
        arrays.y[...] = 77
        window, positions = case.window
        block = backend.ConvolutionBlock(
            arrays.x, arrays.weights, arrays.bias, arrays.y, window, positions, case.pooling[0], case.relu
        )
        backend.Program([block], case.batch).run(case.batch, False, True, False, 2)
        arrays.check_guards()
        assert arrays.y.tobytes() == expected.tobytes()
