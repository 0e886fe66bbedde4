"""No arguments crash a kernel: it gives what its NumPy twin gives, or refuses them with a message.

tests/torture/test_hostile_input.py runs these for longer, on every tier.
"""

import inspect

import hostile
import numpy as np
import pytest
from hostile import (
    COMPILED,
    TWINS,
    absurd,
    assert_near,
    each_backend,
    kernels_of,
    many,
    needs_compiled_kernels,
    odd_numbers,
    quiet,
    seeds,
)
from hypothesis import given
from hypothesis import strategies as st

from cnnx._util.windows import Window

OUTSIDE = ('fill', 'edge', 'reflect')
F32, F64, I32 = np.float32, np.float64, np.int32
# (N, H, W, C), (R, S, C, F), (P, Q): names of sizes stand for the same number in all arrays of a kernel, digits for
# themselves. i: integers; p: places, none of them odd, since of sums that overflow only the order tells the sign.
KERNELS = {
    'relu_forward': ('A', 'A'),
    'relu_backward': ('A', 'A', 'A'),
    'sigmoid_forward': ('A', 'A'),
    'sigmoid_backward': ('A', 'A', 'A'),
    'leaky_relu_forward': ('A', 'A', st.floats(0, 3)),
    'leaky_relu_backward': ('A', 'A', 'A', st.floats(0, 3)),
    'tanh_forward': ('A', 'A'),
    'tanh_backward': ('A', 'A', 'A'),
    'elu_forward': ('A', 'A', st.floats(0, 3)),
    'elu_backward': ('A', 'A', 'A', st.floats(0, 3)),
    'softplus_forward': ('A', 'A'),
    'softplus_backward': ('A', 'A', 'A'),
    'silu_forward': ('A', 'A'),
    'silu_backward': ('A', 'A', 'A'),
    'gelu_forward': ('A', 'A'),
    'gelu_backward': ('A', 'A', 'A'),
    'hard_swish_forward': ('A', 'A'),
    'hard_swish_backward': ('A', 'A', 'A'),
    'dropout_forward': ('A', 'A', st.integers(0, 2**64 - 1), st.floats(0, 1, exclude_max=True)),
    'dropout_backward': ('A', 'A', st.integers(0, 2**64 - 1), st.floats(0, 1, exclude_max=True)),
    'batchnorm_statistics': ('NPC', 'C', 'C'),
    'batchnorm_forward': ('NPC', 'C', 'C', 'C', 'C', 'NPC', st.floats(1e-5, 1)),
    'batchnorm_backward': ('NPC', 'C', 'C', 'C', 'NPC', 'C', 'C', 'NPC', st.floats(1e-5, 1), st.booleans()),
    'groupnorm_forward': ('NP1C', 'C', 'C', 'N1', 'N1', 'NP1C', st.floats(1e-5, 1)),
    'groupnorm_backward': ('NP1C', 'N1', 'N1', 'C', 'NP1C', 'C', 'C', 'NP1C'),
    'dense_forward': ('NI', 'IO', 'O', 'NO'),
    'dense_backward_weights': ('NI', 'NO', 'IO', 'O'),
    'dense_backward_input': ('IO', 'NO', 'NI'),
    'softmax_forward': ('NC', 'NC'),
    'softmax_backward': ('NC', 'NC', 'NC'),
    'softmax_cross_entropy_forward': ('NC', 'iN', 'NC', 'N', st.floats(0, 0.9)),
    'softmax_cross_entropy_backward': ('NC', 'iN', 'NC', st.floats(0, 0.9)),
    'convolution_forward': ('NHWC', 'RSGF', 'F', 'NPQF', Window),
    'convolution_backward_weights': ('NHWC', 'NPQF', 'RSGF', 'F', Window),
    'convolution_backward_input': ('RSGF', 'NPQF', 'NHWC', Window),
    'winograd_forward': ('NHWC', '33CF', 'F', 'NPQF', Window),
    'winograd_backward_weights': ('NHWC', 'NPQF', '33CF', 'F', Window),
    'winograd_backward_input': ('33CF', 'NPQF', 'NHWC', Window),
    'depthwise_forward': ('NHWC', 'RS1C', 'C', 'NPQC', Window),
    'depthwise_backward_weights': ('NHWC', 'NPQC', 'RS1C', 'C', Window),
    'depthwise_backward_input': ('RS1C', 'NPQC', 'NHWC', Window),
    'maxpool_forward': ('NHWC', 'NPQC', 'iNPQC', Window),
    'maxpool_backward': ('NPQC', 'iNPQC', 'NHWC', Window),
    'interpolate': ('PH', 'QW', 'NHWC', 'NPQC'),
    'averagepool_forward': ('NHWC', 'NPQC', Window),
    'averagepool_backward': ('NPQC', 'NHWC', Window),
    'resample': ('NHWC', 'NHWC', 'pN23', 'pN2HW', st.sampled_from(OUTSIDE), st.floats(-1, 1)),
    'elastic_fields': ('N2HW', 'R', st.integers(1, 6), st.integers(0, 2**64 - 1), st.floats(0, 50)),
    'erase': ('NHWC', 'iN4', st.integers(0, 2**64 - 1), st.floats(-1, 0), st.floats(0, 1)),
}
# Kernels over a table: of how many columns, and the arguments between it and the number of threads.
TABLE_KERNELS = {
    'all_finite': (2, (1,)),
    'sum_of_squares': (2, (1,)),
    'sgd_update': (3, (0.1, 0.9, False, 0.0, 1.0)),
    'adam_update': (4, (np.ones(1, np.int64), 0.1, 0.9, 0.999, 1e-8, 0.0, False, 1.0)),
    'rmsprop_update': (4, (0.1, 0.99, 1e-8, 0.9, 0.0, 1.0)),
    'adagrad_update': (3, (0.1, 1e-10, 0.0, 1.0)),
}


@st.composite
def kernel_call(draw, name, wrong):
    """Draw the arguments of a kernel, sizes that agree with each other unless `wrong`; the threads come last."""
    letters = {letter: draw(st.integers(0 if draw(st.integers(0, 5)) == 0 else 1, 5)) for letter in 'ANIOCHWFRSPQ'}
    letters |= {digit: int(digit) for digit in '1234'}
    groups = draw(st.sampled_from([1, 1, 2]))
    letters |= {'G': letters['C'], 'C': groups * letters['C'], 'F': groups * letters['F']}
    window = Window(letters['R'], letters['S'], draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    window = window._replace(pad_top=draw(st.integers(0, 3)), pad_left=draw(st.integers(0, 3)))
    if 'winograd' in name:
        window = window._replace(height=3, width=3, stride_height=1, stride_width=1)
    elif 'pool' not in name:
        window = window._replace(dilation_height=draw(st.integers(1, 2)), dilation_width=draw(st.integers(1, 2)))
    if 'pool' in name:
        window = window._replace(pad_top=min(window.pad_top, max(window.height - 1, 0)))
        window = window._replace(pad_left=min(window.pad_left, max(window.width - 1, 0)))
        # Of the last window, a row at least lies in the image.
        letters['H'] = max((letters['P'] - 1) * window.stride_height - window.pad_top, 0) + draw(st.integers(1, 4))
        letters['W'] = max((letters['Q'] - 1) * window.stride_width - window.pad_left, 0) + draw(st.integers(1, 4))
    seed, dtype, arguments = draw(seeds), draw(st.sampled_from([F32, F64])), []
    for shape in KERNELS[name]:
        if shape is Window:
            arguments.append(window)
            continue
        if not isinstance(shape, str):
            arguments.append(draw(shape))
            continue
        sizes = tuple(letters[letter] for letter in shape.lstrip('ip'))
        seed += 1
        if shape[0] == 'i':
            most = max(letters['C'] if shape == 'iN' else letters['R'] * letters['S'], 1)
            arguments.append(np.random.default_rng(seed).integers(0, most, sizes).astype(I32))
        elif shape[0] == 'p':
            arguments.append(2 * np.random.default_rng(seed).normal(size=sizes).astype(dtype))
        else:
            arguments.append(odd_numbers(sizes, seed, dtype))
    arguments.append(draw(st.integers(1, 3)))
    places = st.lists(st.integers(0, len(arguments) - 1), min_size=1, max_size=2, unique=True)
    for place in draw(places) if wrong else ():
        arguments[place] = draw(wrong_argument(arguments[place]))
    return arguments


@st.composite
def wrong_argument(draw, right):
    if isinstance(right, Window):
        number = st.sampled_from([-(2**40), -1, 0, 1, 2, 7, 2**31, 2**62, 2**64, 1.5, None])
        return draw(absurd | st.just(right._replace(**{draw(st.sampled_from(Window._fields)): draw(number)})))
    if isinstance(right, str):
        return draw(absurd)
    if isinstance(right, float):
        return draw(absurd | st.sampled_from([-1.0, 1.0, 1e300, np.nan, np.inf, -np.inf]))
    if isinstance(right, int):
        return draw(st.sampled_from([-(2**31), -1, 0, 257, 10**5, 2**31, 2**40, None, 1.5, '1']))
    kind = draw(st.sampled_from(['absurd', 'size', 'axis', 'dtype', 'strided', 'read-only', 'swapped', 'numbers']))
    if kind == 'absurd':
        return draw(absurd)
    sizes = list(right.shape)
    axis = draw(st.integers(0, len(sizes) - 1))
    if kind == 'size':
        sizes[axis] = draw(st.sampled_from([0, 1, sizes[axis] + 1, sizes[axis] + 1000]))
        return np.zeros(sizes, right.dtype)
    if kind == 'axis':
        return right[None] if draw(st.booleans()) else right.reshape(-1)
    if kind == 'dtype':
        # Records crash Cython's own look at an array; layers and networks refuse them.
        kinds = [dtype for dtype in (*hostile.DTYPES, *hostile.NO_NUMBERS) if np.dtype(dtype).names is None]
        return np.zeros(sizes, draw(st.sampled_from(kinds)))
    if kind == 'strided':
        return np.repeat(right, 2, axis=axis)[(*[slice(None)] * axis, slice(None, None, 2))]
    if kind == 'swapped':
        return right.astype(right.dtype.newbyteorder())
    if kind == 'numbers' and right.dtype == I32:
        return np.full(sizes, draw(st.sampled_from([-1, 5, 255, 2**28, 2**31 - 1, -(2**31)])), I32)
    right = right.copy()
    right.flags.writeable = False
    return right


def run(kernel, arguments):
    """Call a kernel on copies; return them, and the error that it refused with."""
    copies = [
        a.copy() if isinstance(a, np.ndarray) and a.flags.writeable and a.flags.c_contiguous else a for a in arguments
    ]
    try:
        return copies, quiet(kernel, *copies)[1]
    except (AttributeError, BufferError) as error:  # what is no array at all, or has no memory to write to
        return copies, error


def hold_to_twin(name, arguments):
    """A kernel gives what NumPy gives, or refuses."""
    ours, refused = run(COMPILED[name], arguments)
    if refused is not None:
        return
    expected, refused_there = run(TWINS[name], arguments)
    # What NumPy cannot do, such as the largest of nothing, has no right answer to compare with.
    if refused_there is None:
        scales = winograd_scales(name, arguments) if 'winograd' in name else {}
        for place, (mine, other) in enumerate(zip(ours, expected, strict=True)):
            if isinstance(mine, np.ndarray) and mine.dtype.kind == 'f':
                assert_near(mine, other, scales.get(place, 1.0))


@np.errstate(all='ignore')
def winograd_scales(name, arguments):
    """Return how large the numbers are that each output, by its place, is made from, in a sample or in all of them.

    All outputs of a tile are made from all of its numbers: a huge one rounds its neighbours away.
    """
    a, b = (np.abs(np.where(np.isfinite(array), array, 0)).astype(np.float64) for array in arguments[:2])
    if name == 'winograd_backward_weights':
        return dict.fromkeys((2, 3), a.max(initial=0) * b.max(initial=0))
    samples, weights, place = (a, b, 3) if name == 'winograd_forward' else (b, a, 2)
    return {place: samples.max(axis=(1, 2, 3), initial=0)[:, None, None, None] * weights.max(initial=0)}


names = st.sampled_from(sorted(KERNELS))


@needs_compiled_kernels
@many
@given(data=st.data(), name=names)
def test_a_kernel_computes_what_its_twin_does(name, data):
    hold_to_twin(name, data.draw(kernel_call(name, wrong=False)))


@needs_compiled_kernels
@many
@given(data=st.data(), name=names)
def test_a_kernel_of_wrong_arguments_refuses_or_computes(name, data):
    hold_to_twin(name, data.draw(kernel_call(name, wrong=True)))


@many
@given(data=st.data(), name=names)
def test_a_twin_of_wrong_arguments_refuses_or_computes(name, data):
    run(TWINS[name], data.draw(kernel_call(name, wrong=True)))


def test_every_kernel_is_tried():
    functions = {name for name, kernel in TWINS.items() if inspect.isfunction(kernel)}
    assert functions == {*KERNELS, *TABLE_KERNELS, 'multiply_adds'}


@needs_compiled_kernels
@pytest.mark.parametrize('threads', [0, -1, 257, 2**31 - 1])
def test_a_number_of_threads_that_openmp_dies_of_is_refused(threads):
    for call in (
        lambda: COMPILED['relu_forward'](np.ones(3), np.ones(3), threads),
        lambda: COMPILED['multiply_adds'](100, threads),
        *(lambda name=name: call_over_table(name, threads=threads) for name in TABLE_KERNELS),
    ):
        with pytest.raises(ValueError, match=f'num_threads: expected 1 to 256, got {threads}'):
            call()


def call_over_table(name, more_columns=0, threads=1):
    columns, arguments = TABLE_KERNELS[name]
    table = COMPILED['ArrayTable']([tuple(np.ones((columns + more_columns, 4), F32))])
    return COMPILED[name](table, *arguments, threads)


@needs_compiled_kernels
@pytest.mark.parametrize('name', [name for name in TABLE_KERNELS if name.endswith('_update')])
def test_a_table_of_other_columns_is_refused_by_an_update(name):
    call_over_table(name)
    for more in (-1, 1):
        with pytest.raises(
            ValueError, match=f'expected rows of .*, got rows of {TABLE_KERNELS[name][0] + more} arrays'
        ):
            call_over_table(name, more)


@needs_compiled_kernels
@pytest.mark.parametrize(('name', 'momentum'), [('sgd_update', 1), ('rmsprop_update', 3)])
def test_a_velocity_that_momentum_needs_is_asked_for(name, momentum):
    columns, arguments = TABLE_KERNELS[name]
    table = COMPILED['ArrayTable']([tuple(np.ones((columns, 4), F32))])
    without = [0.0 if i == momentum else argument for i, argument in enumerate(arguments)]
    with pytest.raises(ValueError, match=f'got rows of {columns} arrays'):
        COMPILED[name](table, *without, 1)


@each_backend
@pytest.mark.parametrize('count', [0, 1, 3])
def test_counts_of_updates_that_are_not_one_a_row_are_refused(backend, count):
    k = kernels_of(backend)
    table = k['ArrayTable']([tuple(np.ones((4, 4), F32)), tuple(np.ones((4, 5), F32))])
    with pytest.raises(ValueError, match=r'updates: expected shape \(2,\)|zip'):
        k['adam_update'](table, np.ones(count, np.int64), *TABLE_KERNELS['adam_update'][1][1:], 1)
