"""Arrays at the border: what users may pass, and where results are written."""

import math

import numpy as np

# The widest vector that a kernel reads, in bytes.
SLACK = 64


def as_numbers(values, what):
    """Return `values` as an array of real numbers, or raise a ValueError that names them."""
    if np.ma.is_masked(values):
        raise ValueError(f'{what}: expected plain numbers, got a masked array; say what is masked by x.filled(0)')
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError(f'{what}: expected an array of numbers ({error})') from None
    if array.dtype.kind not in 'biuf':
        raise ValueError(f'{what}: expected numbers, got an array of {array.dtype}')
    return array


def as_kernels_read(array, dtype):
    """Return an array of that dtype that is contiguous and aligned: itself, or a copy where it is not."""
    return np.require(array, dtype, 'CA')


def in_chunks(array, numbers=2**18):
    """Yield (first, rows) for all rows of an array, so many numbers at a time: what is made of them stays small."""
    size = max(1, numbers // max(1, math.prod(array.shape[1:])))
    for first in range(0, len(array), size):
        yield first, array[first : first + size]


def new_array(name, shape, dtype):
    """Allocate an array, whatever its name: what a layer writes into when it works alone."""
    return np.empty(shape, dtype)


def array_with_slack(shape, dtype):
    """Return an array of zeros that can be read beyond its end: kernels read whole vectors."""
    dtype = np.dtype(dtype)
    size = math.prod(shape)
    return np.zeros(size + SLACK // dtype.itemsize, dtype)[:size].reshape(shape)


def copy_with_slack(values):
    """Return a copy of an array that can be read beyond its end."""
    copy = array_with_slack(values.shape, values.dtype)
    copy[...] = values
    return copy
