"""What no one should pass, drawn at random, and the kernels that tests pass it to."""

import warnings

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st

import cnnx
from cnnx import kernels
from cnnx._util.windows import Window

# What a call may answer with besides a result; each has to say something.
REFUSALS = (ValueError, TypeError, RuntimeError, MemoryError, OverflowError, IndexError)

NAN, INF = np.nan, np.inf
ODD_NUMBERS = [0.0, -0.0, 1.0, -1.0, NAN, INF, -INF, 1e38, -3e38, 1e-37, -1e-45, 1e300]
ABSURD = [
    *(None, True, False, '', 'same', 'valid', b'3', 1.0, 1.5, NAN, INF, -INF, 1j, 10**30, -(10**30), 2**31, 2**32),
    *(2**63, 2**64, -1, 0, np.int8(-1), np.uint8(255), np.int64(3), np.float32(2), np.bool_(True), np.str_('3')),
    *([], (), {}, set(), [1], (1, 2), (1, 2, 3), (0, 1), (-1, 1), (2**32, 2**32), [None, None], ('a', 'b'), object),
    *(np.array(3), np.array([3, 3]), np.zeros((2, 2)), Ellipsis, slice(None), len, Window(3, 3)),
]
DTYPES = ['float32', 'float64', '>f4', '>f8', 'float16', 'longdouble', 'int8', 'uint8', 'int64', 'uint64', 'bool']
NO_NUMBERS = ['complex64', 'S3', 'U3', 'object', 'M8[s]', 'm8[s]', 'V4', 'f4,i4']

absurd = st.sampled_from(ABSURD)
seeds = st.integers(0, 2**32 - 1)


def quiet(call, *arguments, **settings):
    """Return (result, None), or (None, error) where the call was refused with a message; other errors pass."""
    with np.errstate(all='ignore'), warnings.catch_warnings(action='ignore'):
        try:
            return call(*arguments, **settings), None
        except REFUSALS as error:
            assert str(error), f'{type(error).__name__} without a message'
            return None, error


def odd_numbers(shape, seed, dtype='float64'):
    """Numbers of which one in eight is odd: a zero, an infinity, NaN, tiny or huge."""
    rng = np.random.default_rng(seed)
    with np.errstate(all='ignore'):
        numbers = np.where(rng.random(shape) < 0.125, rng.choice(ODD_NUMBERS, shape), rng.normal(size=shape))
        return np.asarray(numbers).astype(dtype)


@st.composite
def laid_out(draw, array):
    """Draw another layout, in memory, of an array's numbers."""
    kind = draw(st.sampled_from(['as it is', 'misaligned', 'strided', 'reversed', 'fortran', 'read-only', 'list']))
    if kind == 'misaligned':
        memory = np.zeros(array.nbytes + 1, np.uint8)
        moved = np.ndarray(array.shape, array.dtype, memory, 1)
        moved[...] = array
        return moved
    if kind == 'strided':
        return np.repeat(array, 2, axis=-1)[..., ::2]
    if kind == 'reversed':
        return array[::-1].copy()[::-1]
    if kind == 'fortran':
        return np.asfortranarray(array)
    if kind == 'read-only':
        array = array.copy()
        array.flags.writeable = False
    return array.tolist() if kind == 'list' else array


@st.composite
def samples(draw, shape, most=4):
    """Draw a batch for samples of a shape, or what only looks like one."""
    sizes = [draw(st.integers(0, most)), *shape]
    change = draw(st.sampled_from(['none', 'none', 'size', 'axis more', 'axis less', 'absurd', 'no numbers']))
    if change == 'absurd':
        return draw(absurd)
    if change == 'size':
        sizes[draw(st.integers(0, len(sizes) - 1))] = draw(st.integers(0, 9))
    elif change == 'axis more':
        sizes.insert(draw(st.integers(0, len(sizes))), draw(st.integers(0, 2)))
    elif change == 'axis less':
        del sizes[draw(st.integers(0, len(sizes) - 1))]
    if change == 'no numbers':
        return np.zeros(sizes, draw(st.sampled_from(NO_NUMBERS)))
    values = odd_numbers(tuple(sizes), draw(seeds), draw(st.sampled_from(DTYPES)))
    return draw(laid_out(values)) if values.ndim and values.size else values


@st.composite
def targets(draw, classes, n):
    """Draw labels, some of which are none."""
    count = draw(st.sampled_from([n, n, n, n + 1, max(n - 1, 0), 0]))
    if draw(st.integers(0, 5)) == 0:
        return draw(absurd)
    wrong = [-1, classes, 255, 2**31, 2**40, 1.5, NAN, INF, -INF]
    label = st.one_of(st.integers(0, classes - 1), *([st.sampled_from(wrong)] * draw(st.integers(0, 1))))
    labels = np.array([draw(label) for _ in range(count)])
    form = draw(st.sampled_from(['indices', 'column', 'one-hot', 'row']))
    if form == 'one-hot':
        with np.errstate(all='ignore'):
            return (labels[:, None] == np.arange(classes)) * draw(st.sampled_from([1, 1, 2, NAN]))
    return {'indices': labels, 'column': labels[:, None], 'row': labels[None]}[form]


def kernels_of(backend):
    """Return the kernels of a backend by name, or None where it is not there."""
    try:
        with cnnx.use_backend(backend):
            return vars(kernels.current())
    except cnnx.BackendError:
        return None


BACKENDS = ('cython', 'numpy')
COMPILED, TWINS = (kernels_of(backend) for backend in BACKENDS)
needs_compiled_kernels = pytest.mark.skipif(COMPILED is None, reason='the compiled kernels are not there')
each_backend = pytest.mark.parametrize('backend', [pytest.param('cython', marks=needs_compiled_kernels), 'numpy'])
many = settings(max_examples=3 * settings.default.max_examples)


def assert_near(ours, expected, scale=1.0):
    """Hold numbers to a tolerance, but for what overflows: sums around 1e38 do in one order and not in another.

    Where such numbers cancel each other, what is left of them is rounding, and large. `scale` is how large the numbers
    are that they are computed from, where that is more than 1: an array like them, or one for each sample.
    """
    assert ours.dtype == expected.dtype
    assert ours.shape == expected.shape
    calm = (np.abs(ours) < 1e10) & (np.abs(expected) < 1e10)
    mine, others = ours[calm], expected[calm]
    least = np.broadcast_to(np.maximum(scale, 1), ours.shape)[calm]
    wrong = np.abs(mine - others) > 1e-4 * np.maximum(np.abs(others), least)
    assert not wrong.any(), f'{mine[wrong]} instead of {others[wrong]}'
