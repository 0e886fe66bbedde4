"""All blocks against their NumPy twins: batches, threads, numbers that are not finite, memory that they may touch."""

import ctypes
import mmap
import os
import signal
import sys
import warnings

import numpy as np
import pytest
from block_cases import (
    BATCHES,
    HAND_PICKED,
    KINDS,
    LENET,
    SAMPLES,
    Arrays,
    Convolution,
    Dense,
    Elementwise,
    Pool,
    check,
    compiled,
    run,
    twins,
)
from tiers import TIERS, every_tier

from cnnx import kernels

pytestmark = pytest.mark.usefixtures('compiled_kernels')


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
        # The blocks skip what has no gradient, where NumPy multiplies infinity by zero.
        for name in ('dweights', 'dx'):
            finite = np.isfinite(expected[name])
            np.testing.assert_array_equal(ours[name][finite], expected[name][finite], err_msg=name)
            assert not np.isfinite(ours[name][~finite]).all() or odd is not np.nan or relu or finite.all()


class Pages:
    """Lays arrays against pages that cannot be touched: what reads or writes there dies."""

    def __init__(self, after):
        self.after = after
        self.kept = []

    def __call__(self, name, shape, dtype, slack):
        size = int(np.prod(shape)) * dtype.itemsize
        room = -(-(size + slack) // mmap.PAGESIZE) * mmap.PAGESIZE
        memory = mmap.mmap(-1, room + 2 * mmap.PAGESIZE)
        self.kept.append(memory)
        start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        for page in (start, start + mmap.PAGESIZE + room):
            assert ctypes.CDLL(None).mprotect(ctypes.c_void_p(page), mmap.PAGESIZE, 0) == 0
        offset = mmap.PAGESIZE + (room - size - slack if self.after else 0)
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
@pytest.mark.parametrize('after', [True, False])
@pytest.mark.parametrize('dtype', ['float32', 'float64'])
def test_nothing_is_touched_before_or_beyond_the_arrays(tier, after, dtype):
    """In a child, since a wrong access kills it."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', DeprecationWarning)
        child = os.fork()
    if child == 0:
        signal.alarm(60)
        status = 1
        try:
            for case in EDGES:
                case = case._replace(dtype=dtype, batch=min(case.batch, 3))
                arrays = Arrays(case.shapes(), case.batch, dtype, Pages(after))
                arrays.fill(0, whole=True)
                run(compiled(tier), case, arrays, 1)
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_kernels_of_this_module_are_those_in_use():
    assert kernels.current().tier in TIERS
