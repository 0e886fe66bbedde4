"""Arrays that are lent out again for the next batch."""

import numpy as np
import pytest

from cnnx.execution.buffers import Buffers


@pytest.mark.parametrize('shape', [(4, 3), (2, 3), (6, 2), (12,)])
def test_an_array_of_no_more_numbers_is_the_same_memory(shape):
    buffers = Buffers()
    first = buffers.empty('y', (4, 3), 'f4')
    again = buffers.empty('y', shape, 'f4')
    assert again.shape == shape
    assert again.flags.c_contiguous
    assert np.shares_memory(first, again)


@pytest.mark.parametrize(('name', 'shape', 'dtype'), [('dx', (4, 3), 'f4'), ('y', (5, 3), 'f4'), ('y', (4, 3), 'f8')])
def test_another_name_a_larger_size_or_another_dtype_takes_memory_of_its_own(name, shape, dtype):
    buffers = Buffers()
    first = buffers.empty('y', (4, 3), 'f4')
    other = buffers.empty(name, shape, dtype)
    assert (other.shape, other.dtype) == (shape, dtype)
    assert not np.shares_memory(first, other)


def test_what_has_grown_serves_smaller_batches_from_then_on():
    buffers = Buffers()
    buffers.empty('y', (4, 3), 'f4')
    large = buffers.empty('y', (8, 3), 'f4')
    assert np.shares_memory(large, buffers.empty('y', (4, 3), 'f4'))
