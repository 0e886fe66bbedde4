"""Arrays: checking those that users pass, and allocating those that kernels write into."""

import math

import numpy as np

# The widest vector that a kernel reads, in bytes.
SLACK = 64


def as_numbers(values, what):
    """Return `values` as an array of real numbers, or raise a ValueError that begins with `what`."""
    array = values if type(values) is np.ndarray else _as_array(values, what)
    if array.dtype.kind not in 'biuf':
        hint = '; for names, use names, indices = np.unique(values, return_inverse=True)' * (array.dtype.kind in 'US')
        raise ValueError(f'{what}: expected numbers, got an array of {array.dtype}{hint}')
    return array


def _as_array(values, what):
    if np.ma.is_masked(values):
        raise ValueError(f'{what}: expected plain numbers, got a masked array; fill in the masked numbers: x.filled(0)')
    try:
        return np.asarray(values)
    except ValueError as error:
        raise ValueError(f'{what}: expected an array of numbers ({error})') from None


def as_kernels_read(array, dtype):
    """Return an array of the dtype, contiguous and aligned: the array itself where possible, else a copy."""
    flags = array.flags  # np.require looks at them too, but takes several times as long
    if flags.c_contiguous and flags.aligned and array.dtype == dtype:
        return array
    return np.require(array, dtype, 'CA')


def softmax(x):
    """Return the softmax over the last axis of an array of logits, in its dtype."""
    powers = np.exp(x - x.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def in_chunks(array, numbers=2**18):
    """Yield (first, rows) for all rows of an array, in chunks of about `numbers` numbers, to save memory."""
    size = max(1, numbers // max(1, math.prod(array.shape[1:])))
    for first in range(0, len(array), size):
        yield first, array[first : first + size]


def array_with_slack(shape, dtype):
    """Return an array of zeros with SLACK readable bytes after its end: kernels read whole vectors."""
    dtype = np.dtype(dtype)
    size = math.prod(shape)
    return np.zeros(size + SLACK // dtype.itemsize, dtype)[:size].reshape(shape)


def copy_with_slack(values):
    """Return a copy of an array with SLACK readable bytes after its end."""
    copy = array_with_slack(values.shape, values.dtype)
    copy[...] = values
    return copy
