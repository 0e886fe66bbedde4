"""Compiled blocks against their NumPy twins, on every tier that runs here, and what they may touch of memory."""

import ctypes
import importlib.util
import itertools
import mmap
import os
import signal
import sys
import warnings
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiers import TIERS, every_tier

from cnnx import _numpy, kernels
from cnnx._util.arrays import SLACK
from cnnx._util.windows import window_over

pytestmark = pytest.mark.usefixtures('compiled_kernels')
MODULES = (
    *('program', 'convolution_block', 'dense_block', 'softmax_block'),
    *('activations_block', 'pooling_block', 'dropout_block', 'normalization_block'),
)
CHANNELS = (1, 2, 3, 5, 6, 8, 16, 17, 32, 48)
FILTERS = (1, 2, 5, 6, 8, 15, 16, 17, 31, 32, 33, 64)
KERNELS = ((1, 1), (3, 3), (5, 5), (7, 7), (1, 3), (5, 2), (2, 7))
STRIDES = ((1, 1), (2, 2), (3, 3), (1, 2), (3, 1))
# (pool, its stride); stride None is the pool's size.
POOLS = (
    (None, None), ((2, 2), None), ((3, 3), None), ((2, 1), None), ((3, 2), None), ((3, 3), (2, 2)), ((2, 2), (3, 3)),
    ((1, 1), None), ((1, 1), (2, 2)), ((2, 3), (1, 4)), ((3, 2), (1, 1)),
)  # fmt: skip
BATCHES = (1, 2, 3, 7, 8, 9, 16, 33, 100)
THREADS = (1, 2, 3, 4, 8)
# Multiply-adds of a case at most, so that NumPy, too, is done in a moment.
MOST_WORK = 2_000_000


class Convolution(NamedTuple):
    """A shape of a ConvolutionBlock."""

    image: tuple = (8, 8)
    channels: int = 1
    filters: int = 1
    kernel: tuple = (3, 3)
    stride: tuple = (1, 1)
    padding: str = 'valid'
    pool: tuple | None = None
    pool_stride: tuple | None = None
    relu: bool = True
    dx: bool = True
    batch: int = 3
    dtype: str = 'float32'

    @property
    def window(self):
        return window_over(self.image, self.kernel, self.stride, self.padding)

    @property
    def pooling(self):
        """The pooling's window, or None, and what comes out of it."""
        if self.pool is None:
            return None, self.window[1]
        return window_over(self.window[1], self.pool, self.pool_stride or self.pool)

    def fitted(self):
        """Make the image large enough and the batch small enough."""
        least = [1, 1]
        if self.padding == 'valid' or self.pool:
            pool = self.pool or (1, 1)
            least = [(p - 1) * s + k for p, s, k in zip(pool, self.stride, self.kernel, strict=True)]
        case = self._replace(image=tuple(map(max, self.image, least)))
        rows, columns = case.window[1]
        work = rows * columns * np.prod(case.kernel) * case.channels * case.filters
        return case._replace(batch=int(max(1, min(case.batch, MOST_WORK // work))))

    def shapes(self):
        output = (*self.pooling[1], self.filters)
        weights = (*self.kernel, self.channels, self.filters)
        return (*self.image, self.channels), output, weights

    def block(self, backend, a):
        window, positions = self.window
        pooling, _ = self.pooling
        return backend.ConvolutionBlock(
            a.x, a.weights, a.bias, a.y, window, positions, pooling, self.relu,
            a.dy, a.dx if self.dx else None, a.dweights, a.dbias,
        )  # fmt: skip


class Dense(NamedTuple):
    """A shape of a DenseBlock."""

    inputs: int
    outputs: int
    relu: bool = True
    dx: bool = True
    batch: int = 3
    dtype: str = 'float32'

    def shapes(self):
        return (self.inputs,), (self.outputs,), (self.inputs, self.outputs)

    def block(self, backend, a):
        return backend.DenseBlock(
            a.x, a.weights, a.bias, a.y, self.relu, a.dy, a.dx if self.dx else None, a.dweights, a.dbias
        )


class Pool(NamedTuple):
    """A shape of a PoolingBlock."""

    image: tuple
    channels: int
    pool: tuple
    stride: tuple
    padding: str
    average: bool
    dx: bool = True
    batch: int = 3
    dtype: str = 'float32'

    @property
    def window(self):
        return window_over(self.image, self.pool, self.stride, self.padding)

    def shapes(self):
        return (*self.image, self.channels), (*self.window[1], self.channels), (1, 1)

    def block(self, backend, a):
        return backend.PoolingBlock(self.average, a.x, a.y, self.window[0], a.dy, a.dx if self.dx else None)


class Elementwise(NamedTuple):
    """A shape of an ActivationBlock or a DropoutBlock."""

    kind: str
    sample: tuple
    dx: bool = True
    batch: int = 3
    dtype: str = 'float32'
    in_place: bool = False

    def shapes(self):
        return self.sample, self.sample, (1, 1)

    def block(self, backend, a):
        y, dx = (a.x, a.dy) if self.in_place else (a.y, a.dx if self.dx else None)
        if self.kind != 'dropout':
            return backend.ActivationBlock(self.kind, 0.3, a.x, y, a.dy, dx)
        block = backend.DropoutBlock(a.x, y, a.dy, dx)
        block.draw(2**63 + 12345, 0.4)
        return block


class Normalization(NamedTuple):
    """A shape of a NormalizationBlock."""

    sample: tuple
    batch: int = 3
    dtype: str = 'float32'

    def shapes(self):
        return self.sample, self.sample, (4, self.sample[-1])

    def block(self, backend, a):
        mean, variance, gamma, beta = a.weights
        variance *= variance
        return backend.NormalizationBlock(a.x, a.y, mean, variance, gamma, beta, 1e-3)


def compiled(tier):
    """Return the blocks of a tier."""
    names = [f'cnnx._ext.{"" if stem == "program" else f"{tier}."}{stem}' for stem in MODULES]
    return SimpleNamespace(**{k: v for name in names for k, v in vars(importlib.import_module(name)).items()})


def twins():
    modules = [importlib.import_module(f'{_numpy.__name__}.{stem}') for stem in MODULES]
    return SimpleNamespace(**{key: value for module in modules for key, value in vars(module).items()})


class Arrays:
    """The arrays of a block, in memory with known bytes before and behind."""

    GUARD = 256
    MARK = 0xFF  # a NaN in every dtype: what is read of it and used shows in the result

    def __init__(self, shapes, capacity, dtype, place=None):
        sample, output, weights = shapes
        bias = weights[-1:]
        self._memory = {}
        self._place = place or self._guarded
        for name, shape in {
            'x': (capacity, *sample), 'dx': (capacity, *sample), 'y': (capacity, *output), 'dy': (capacity, *output),
            'weights': weights, 'dweights': weights, 'bias': bias, 'dbias': bias,
        }.items():  # fmt: skip
            slack = 0 if name in ('dweights', 'dbias') else SLACK
            setattr(self, name, self._place(name, shape, np.dtype(dtype), slack))

    def _guarded(self, name, shape, dtype, slack):
        size = int(np.prod(shape)) * dtype.itemsize
        memory = np.full(self.GUARD + size + self.GUARD, self.MARK, np.uint8)
        self._memory[name] = memory, size
        return memory[self.GUARD : self.GUARD + size].view(dtype).reshape(shape)

    def check_guards(self):
        for name, (memory, size) in self._memory.items():
            assert (memory[: self.GUARD] == self.MARK).all(), f'written before {name}'
            assert (memory[self.GUARD + size :] == self.MARK).all(), f'written behind {name}'

    def fill(self, seed, whole):
        """Draw numbers: with `whole`, so small that float32 holds every sum of them; many are equal then."""
        rng = np.random.default_rng(seed)
        for array in (self.x, self.weights, self.bias, self.dy):
            array[...] = rng.integers(-3, 4, array.shape) if whole else rng.normal(size=array.shape)
        for array in (self.y, self.dx, self.dweights, self.dbias):
            array[...] = 77

    def results(self):
        return {name: getattr(self, name).copy() for name in ('y', 'dx', 'dweights', 'dbias')}


def run(backend, case, arrays, threads, samples=None, capacity=None, passes=(True, True)):
    program = backend.Program([case.block(backend, arrays)], capacity or len(arrays.x))
    program.run(len(arrays.x) if samples is None else samples, True, *passes, threads)
    return program


def check(tier, case, seed=0, threads=THREADS, whole=None, spare=0):
    """Compare a block to its twin: results, what lies around them, and the bits of all numbers of threads."""
    whole = case.dtype == 'float32' if whole is None else whole
    capacity = case.batch + spare
    expected = Arrays(case.shapes(), capacity, case.dtype)
    expected.fill(seed, whole)
    run(twins(), case, expected, 1, case.batch)
    first = None
    for count in threads:
        ours = Arrays(case.shapes(), capacity, case.dtype)
        ours.fill(seed + 1, whole)
        program = run(compiled(tier), case, ours, count)
        ours.fill(seed, whole)
        program.run(case.batch, True, True, True, count)
        ours.check_guards()
        results = ours.results()
        for name, value in expected.results().items():
            scale = max(1, np.abs(value).max())
            tolerance = 0 if whole else scale * {'float32': 1e-4, 'float64': 1e-11}[case.dtype]
            np.testing.assert_allclose(results[name], value, rtol=0, atol=tolerance, err_msg=f'{name} of {case}')
        found = {name: value.tobytes() for name, value in results.items()}
        first = first or found
        assert found == first, f'{count} threads give other bits than {threads[0]}'


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
@given(data=st.data())
def test_any_dense_layer(tier, data):
    draw, sizes = data.draw, st.integers(1, 70)
    case = Dense(
        draw(sizes), draw(sizes), draw(st.booleans()), draw(st.booleans()), draw(st.integers(1, 40)),
        draw(st.sampled_from(['float32', 'float64'])),
    )  # fmt: skip
    check(tier, case, draw(st.integers(0, 9)), (1, draw(st.sampled_from(THREADS))), spare=draw(st.integers(0, 3)))


KINDS = ('relu', 'leaky_relu', 'sigmoid', 'tanh', 'dropout')
SAMPLES = ((1,), (7,), (16,), (33,), (3, 5, 6))


@every_tier
@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@pytest.mark.parametrize('kind', KINDS)
def test_elementwise_blocks(tier, kind, dtype):
    for sample, dx, batch in itertools.product(SAMPLES, (True, False), (1, 12, 40)):
        check(tier, Elementwise(kind, sample, dx, batch, dtype), threads=(1, 3), whole=False, spare=batch % 3)


@every_tier
@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@pytest.mark.parametrize('kind', KINDS)
def test_elementwise_blocks_can_write_over_what_they_read(tier, kind, dtype):
    for sample, backend in itertools.product(SAMPLES, (twins(), compiled(tier))):
        apart, over = (Elementwise(kind, sample, True, 25, dtype, in_place) for in_place in (False, True))
        arrays = [Arrays(case.shapes(), 25, dtype) for case in (apart, over)]
        for case, own in zip((apart, over), arrays, strict=True):
            own.fill(0, whole=False)
            run(backend, case, own, 2)
            own.check_guards()
        assert arrays[1].x.tobytes() == arrays[0].y.tobytes()
        assert arrays[1].dy.tobytes() == arrays[0].dx.tobytes()


@every_tier
@pytest.mark.parametrize('dtype', ['float32', 'float64'])
def test_normalization_blocks(tier, dtype):
    for sample, batch in itertools.product(((1,), (7,), (70,), (3, 5, 6), (9, 9, 65)), (1, 12, 40)):
        case = Normalization(sample, batch, dtype)
        arrays = [Arrays(case.shapes(), batch, dtype) for _ in range(3)]
        for own, backend, threads in zip(arrays, (twins(), compiled(tier), compiled(tier)), (1, 1, 3), strict=True):
            own.fill(0, whole=False)
            run(backend, case, own, threads, passes=(True, False))
            own.check_guards()
        np.testing.assert_allclose(arrays[1].y, arrays[0].y, rtol=1e-5, atol=1e-5)
        assert arrays[1].y.tobytes() == arrays[2].y.tobytes()


@every_tier
@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@pytest.mark.parametrize('average', [True, False])
def test_pooling_blocks(tier, average, dtype):
    windows = (((2, 2), (2, 2)), ((3, 3), (2, 2)), ((2, 3), (3, 1)), ((1, 1), (2, 2)), ((5, 4), (4, 5)))
    images = ((5, 6), (7, 5), (1, 1), (12, 13))
    for channels, image, (pool, stride), padding in itertools.product(
        (1, 2, 6, 16, 17, 70), images, windows, ('same', 'valid')
    ):
        if padding == 'valid' and (image[0] < pool[0] or image[1] < pool[1]):
            continue
        batch, dx = channels % 5 + 1, (image, padding) != ((7, 5), 'same')
        case = Pool(image, channels, pool, stride, padding, average, dx, batch, dtype)
        check(tier, case, threads=(1, 3), whole=not average and dtype == 'float32', spare=batch % 2)


@every_tier
@given(data=st.data())
def test_any_pooling(tier, data):
    draw, small = data.draw, st.integers(1, 5)
    image, pool, padding = (
        (draw(small), draw(st.integers(1, 20))),
        (draw(small), draw(small)),
        draw(st.sampled_from(['same', 'valid'])),
    )
    image = image if padding == 'same' else tuple(map(max, image, pool))
    case = Pool(
        image, draw(st.integers(1, 40)), pool, (draw(small), draw(small)), padding, draw(st.booleans()),
        draw(st.booleans()), draw(st.integers(1, 14)), draw(st.sampled_from(['float32', 'float64'])),
    )  # fmt: skip
    check(tier, case, draw(st.integers(0, 9)), (1, draw(st.sampled_from(THREADS))), False, draw(st.integers(0, 3)))


LENET = (
    Convolution((28, 28), 1, 6, (5, 5), padding='same', pool=(2, 2), dx=False),
    Convolution((14, 14), 6, 16, (5, 5), pool=(2, 2)),
)
HAND_PICKED = {
    'LeNet-5 1': LENET[0]._replace(batch=100),
    'LeNet-5 2': LENET[1]._replace(batch=33),
    'one pixel': Convolution((1, 1), kernel=(1, 1)),
    'one pixel pooled': Convolution((1, 1), kernel=(1, 1), pool=(1, 1)),
    'one pixel padded': Convolution((1, 1), 2, 5, (7, 7), padding='same'),
    'one pixel comes out': Convolution((7, 7), 3, 17, (7, 7)),
    'one pooled pixel comes out': Convolution((4, 4), 3, 17, (3, 3), pool=(2, 2)),
    'tall': Convolution((300, 3), 1, 2, pool=(3, 1)),
    'wide': Convolution((3, 300), 1, 2, pool=(1, 3)),
    'tall, several bands': Convolution((200, 40), 4, 3, padding='same', pool=(2, 2), batch=2),
    'wide, several bands': Convolution((20, 900), 2, 5, padding='same', pool=(2, 2), batch=2),
    'several bands that overlap': Convolution(
        (120, 50), 6, 17, padding='same', pool=(3, 3), pool_stride=(2, 2), batch=1
    ),
    'rows wider than a band': Convolution((6, 7000), 1, 2, padding='same', pool=(2, 2), batch=1),
    'nothing is covered at the end': Convolution((11, 11), 2, 6, (2, 2), (4, 4), pool=(2, 2)),
    'stride beyond the kernel': Convolution((13, 13), 5, 8, (1, 1), (3, 3)),
    'stride beyond the kernel, padded': Convolution((13, 13), 5, 8, (2, 2), (3, 3), 'same', (2, 2)),
    'patches of many chunks': Convolution((9, 9), 48, 17, (7, 7), padding='same', pool=(2, 2), batch=1),
    'patches that overlap their own rows': Convolution((9, 4), 1, 3, (5, 3), pool=(2, 2)),
    'more places than a block has': Convolution((15, 40), 2, 3, pool=(3, 3)),
    'columns of several vectors': Convolution((6, 101), 3, 7, pool=(2, 2), batch=2),
    'period of several columns': Convolution((9, 99), 3, 5, (3, 3), (2, 3), 'same', (2, 2), (3, 2), batch=2),
    'narrow without pooling': Convolution((9, 33), 2, 3, (3, 3), padding='same'),
    'whole vectors of filters': Convolution((9, 9), 16, 64, pool=(2, 2)),
    'nothing to spread': Convolution((9, 9), 3, 64, dx=False),
}


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
@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@pytest.mark.parametrize('batch', BATCHES)
def test_every_batch_on_every_number_of_threads(tier, batch, dtype):
    check(tier, Convolution((6, 6), 2, 5, pool=(2, 2), batch=batch, dtype=dtype))
    check(tier, Dense(19, 21, batch=batch, dtype=dtype))


@every_tier
def test_a_smaller_batch_than_the_largest(tier):
    for capacity in range(1, 41):
        for batch in {1, capacity // 2, capacity - 1, capacity, 4, 8} & set(range(1, capacity + 1)):
            check(tier, Convolution((3, 3), 1, 2, (2, 2), batch=batch), threads=(1, 2), spare=capacity - batch)


@every_tier
def test_random_numbers_in_float32(tier):
    check(tier, Convolution((13, 17), 6, 17, (5, 5), padding='same', relu=False), whole=False)
    check(tier, Convolution((13, 37), 3, 5, (3, 3), relu=False), whole=False)
    check(tier, Dense(400, 120, relu=False, batch=33), whole=False)


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
@pytest.mark.parametrize('case', [*LENET, Dense(30, 20), Convolution(filters=5), Convolution(filters=32)])
def test_dead_units_pass_no_gradient(tier, case):
    arrays = Arrays(case.shapes(), case.batch, case.dtype)
    arrays.fill(0, whole=True)
    arrays.bias[...] = -1e6
    run(compiled(tier), case, arrays, 2)
    for name, value in arrays.results().items():
        assert (value == (77 if name == 'dx' and not case.dx else 0)).all()


@every_tier
@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@pytest.mark.parametrize('odd', [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize('relu', [True, False])
def test_odd_numbers_come_out_where_they_do_in_numpy(tier, dtype, odd, relu):
    for case in (
        *LENET, Convolution((9, 11), 2, 3, padding='same'), Convolution((9, 9), 2, 17), Dense(20, 30),
        Convolution((9, 40), 2, 17, pool=(3, 3), pool_stride=(2, 2)),
    ):  # fmt: skip
        case = case._replace(dtype=dtype, relu=relu)
        results = []
        for backend in (twins(), compiled(tier)):
            arrays = Arrays(case.shapes(), case.batch, case.dtype)
            arrays.fill(0, whole=True)
            arrays.x[0].flat[:: max(2, arrays.x[0].size // 3)] = odd
            with np.errstate(all='ignore'):
                run(backend, case, arrays, 1)
            results.append(arrays.results())
        expected, ours = results
        np.testing.assert_array_equal(ours['y'], expected['y'])
        np.testing.assert_array_equal(ours['dbias'], expected['dbias'])
        # The blocks pass over what has no gradient, where NumPy multiplies infinity by zero.
        for name in ('dweights', 'dx'):
            finite = np.isfinite(expected[name])
            np.testing.assert_array_equal(ours[name][finite], expected[name][finite], err_msg=name)
            assert not np.isfinite(ours[name][~finite]).all() or odd is not np.nan or relu or finite.all()


@every_tier
@pytest.mark.parametrize('odd', [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize('average', [True, False])
def test_odd_numbers_are_pooled_as_in_numpy(tier, odd, average):
    for channels, padding in itertools.product((1, 6, 17), ('same', 'valid')):
        case = Pool((7, 9), channels, (3, 3), (2, 2), padding, average)
        results = []
        for backend in (twins(), compiled(tier)):
            arrays = Arrays(case.shapes(), case.batch, case.dtype)
            arrays.fill(0, whole=True)
            arrays.x[:2].flat[::3] = odd
            arrays.x[1].flat[::4] = np.nan
            with np.errstate(all='ignore'):
                run(backend, case, arrays, 1)
            results.append(arrays.results())
        np.testing.assert_array_equal(results[1]['y'], results[0]['y'])
        np.testing.assert_allclose(results[1]['dx'], results[0]['dx'], rtol=1e-6, atol=1e-6)


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
    """Behind pooling it also reaches pixels beside its window: see patches.h."""
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


@every_tier
@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@pytest.mark.parametrize('classes', [2, 3, 10, 17, 100])
def test_cross_entropy_and_softmax(tier, dtype, classes):
    rng = np.random.default_rng(classes)
    results = []
    logits = (5 * rng.normal(size=(33, classes))).astype(dtype)
    logits[3], logits[4] = 0, 1e4
    logits[5, 0] = -np.inf
    logits[7, -1] = np.nan
    labels = rng.integers(0, classes, 33).astype(np.int32)
    labels[7] = classes - 1
    for backend, threads in ((twins(), 1), *((compiled(tier), count) for count in THREADS)):
        dlogits, y = np.full_like(logits, 77), np.full_like(logits, 77)
        loss = backend.CrossEntropyBlock(logits, labels, dlogits)
        for samples in (33, 20):
            with np.errstate(all='ignore'):
                backend.Program([loss, backend.SoftmaxBlock(logits, y)], 33).run(samples, True, True, True, threads)
        results.append((dlogits, y, *loss.totals(7), loss.totals(20)[1]))
    tolerance = {'float32': 2e-6, 'float64': 1e-14}[dtype]
    for found in results[1:]:
        for ours, expected in zip(found, results[0], strict=True):
            np.testing.assert_allclose(ours, expected, rtol=tolerance, atol=tolerance)


@every_tier
def test_samples_are_gathered_in_order(tier):
    rng = np.random.default_rng(0)
    source = rng.integers(0, 255, (50, 3, 5)).astype(np.float32)
    for backend, threads in itertools.product((twins(), compiled(tier)), (1, 4)):
        batch = np.full((12, 3, 5), 77, np.float32)
        gather = backend.Gather(batch)
        program = backend.Program([gather], 12)
        gather.read_from(source)
        order = rng.permutation(50)[:11]
        program.run(11, False, True, False, threads, order)
        np.testing.assert_array_equal(batch[:11], source[order])
        program.run(7, False, True, False, threads)
        np.testing.assert_array_equal(batch[:7], source[:7])
        gather.read_from(None)
        program.run(12, False, True, False, threads)
        np.testing.assert_array_equal(batch[:7], source[:7])
        assert (batch[11] == 77).all()


def test_programs_refuse_more_than_they_hold():
    for backend in (twins(), *map(compiled, TIERS)):
        program = backend.Program([backend.Gather(np.zeros((4, 2), np.float32))], 4)
        program.run(0, False, True, True, 2)
        for wrong in (-1, 5):
            with pytest.raises(ValueError, match='a program for 4 samples'):
                program.run(wrong, False, True, False, 1)
        with pytest.raises(ValueError, match='expected an order of 3 samples, got 2'):
            program.run(3, False, True, False, 1, np.arange(2))


class Pages:
    """Lays arrays against pages that cannot be touched: what reads or writes there dies."""

    def __init__(self, behind):
        self.behind = behind
        self.kept = []

    def __call__(self, name, shape, dtype, slack):
        size = int(np.prod(shape)) * dtype.itemsize
        room = -(-(size + slack) // mmap.PAGESIZE) * mmap.PAGESIZE
        memory = mmap.mmap(-1, room + 2 * mmap.PAGESIZE)
        self.kept.append(memory)
        start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        for page in (start, start + mmap.PAGESIZE + room):
            assert ctypes.CDLL(None).mprotect(ctypes.c_void_p(page), mmap.PAGESIZE, 0) == 0
        offset = mmap.PAGESIZE + (room - size - slack if self.behind else 0)
        return np.frombuffer(memory, dtype, size // dtype.itemsize, offset).reshape(shape)


EDGES = [
    *LENET, *HAND_PICKED.values(), Dense(400, 120), Dense(5, 1, batch=9), Dense(17, 10), Dense(3, 16), Dense(84, 10),
    Convolution(channels=17, filters=33, pool=(2, 2)), Convolution(channels=5, filters=1), Convolution(filters=16),
    *(Elementwise(kind, sample) for kind in KINDS for sample in SAMPLES),
    *(Pool((5, 7), channels, (3, 2), stride, 'same', average)
      for channels in (1, 6, 17, 70) for stride in ((2, 2), (3, 3)) for average in (True, False)),
]  # fmt: skip


@pytest.mark.skipif(sys.platform != 'linux', reason='protects pages as Linux does')
@every_tier
@pytest.mark.parametrize('behind', [True, False])
@pytest.mark.parametrize('dtype', ['float32', 'float64'])
def test_nothing_is_touched_before_or_beyond_the_arrays(tier, behind, dtype):
    """In a child, since a wrong access kills it: its exit tells the case."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', DeprecationWarning)
        child = os.fork()
    if child == 0:
        signal.alarm(60)
        status = 1
        try:
            for case in EDGES:
                case = case._replace(dtype=dtype, batch=min(case.batch, 3))
                arrays = Arrays(case.shapes(), case.batch, dtype, Pages(behind))
                arrays.fill(0, whole=True)
                run(compiled(tier), case, arrays, 1)
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_kernels_of_this_module_are_those_in_use():
    assert kernels.current().tier in TIERS
