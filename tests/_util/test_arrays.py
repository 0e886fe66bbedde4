"""Arrays that users pass, and arrays that kernels read and write."""

import numpy as np
import pytest

from cnnx._util.arrays import SLACK, array_with_slack, as_kernels_read, as_numbers, copy_with_slack, in_chunks, softmax


@pytest.mark.parametrize('values', [[[1, 2]], ((True, False),), np.float16([[1, 2]]), np.ma.array([1.0, 2.0])])
def test_real_numbers_of_any_kind_are_taken(values):
    np.testing.assert_array_equal(as_numbers(values, 'x'), np.asarray(values))


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        ([[1], [1, 2]], 'x: expected an array of numbers'),
        (['a'], 'x: expected numbers, got an array of <U1'),
        ([1j], 'x: expected numbers, got an array of complex128'),
        (None, 'x: expected numbers, got an array of object'),
        (
            np.ma.array([1.0, 2.0], mask=[True, False]),
            r'x: expected plain numbers, got a masked array; .*x\.filled\(0\)',
        ),
    ],
)
def test_what_is_no_array_of_numbers_is_refused_by_name(values, message):
    with pytest.raises(ValueError, match=message):
        as_numbers(values, 'x')


def test_kernels_get_an_array_as_it_is_or_a_copy_that_they_can_read():
    array = np.arange(6, dtype='f4').reshape(2, 3)
    assert as_kernels_read(array, 'f4') is array
    misaligned = np.frombuffer(b'\0' + array.tobytes(), 'f4', offset=1).reshape(2, 3)
    for given in (array.T.copy().T, array.astype('f8'), array.astype('>f4'), misaligned):
        read = as_kernels_read(given, np.dtype('f4'))
        assert read.dtype == np.dtype('f4')
        assert read.flags.c_contiguous
        assert read.flags.aligned
        np.testing.assert_array_equal(read, array)


@pytest.mark.parametrize(
    ('shape', 'numbers', 'rows'), [((10, 3), 12, 4), ((5, 100), 7, 1), ((0, 2), 9, 1), ((3,), 9, 9)]
)
def test_chunks_hold_all_rows_in_order(shape, numbers, rows):
    array = np.random.default_rng(0).random(shape)
    chunks = list(in_chunks(array, numbers))
    assert [first for first, _ in chunks] == list(range(0, len(array), rows))
    assert [row for _, chunk in chunks for row in chunk.tolist()] == array.tolist()


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@pytest.mark.parametrize('shape', [(3, 5), (0, 4), (7,)])
def test_a_whole_vector_can_be_read_from_the_last_number_on(shape, dtype):
    values = np.random.default_rng(0).random(shape).astype(dtype)
    copy, zeros = copy_with_slack(values), array_with_slack(shape, dtype)
    np.testing.assert_array_equal(copy, values)
    assert (zeros == 0).all()
    for array in (copy, zeros):
        assert (array.shape, array.dtype) == (shape, dtype)
        memory = array
        while isinstance(memory.base, np.ndarray):
            memory = memory.base
        assert memory.nbytes - array.nbytes >= SLACK


def test_softmax_is_over_the_last_axis_and_does_not_overflow():
    np.testing.assert_allclose(softmax(np.log([[1.0, 3.0], [2.0, 2.0]])), [[0.25, 0.75], [0.5, 0.5]])
    assert softmax(np.float32([[1000, 0]])).tolist() == [[1, 0]]
    assert softmax(np.float32([[1000, 0]])).dtype == np.float32
