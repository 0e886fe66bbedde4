"""Arrays at the border: what users may pass, and where results are written."""

import contextlib
import math

import numpy as np

DTYPES = ('float32', 'float64')
# The widest vector that a kernel reads, in bytes.
SLACK = 64


def check_dtype(dtype):
    """Return a NumPy dtype, or raise a ValueError if networks do not compute in it."""
    try:
        name = None if dtype is None else np.dtype(dtype).name
    except TypeError:
        name = None
    if name not in DTYPES:
        raise ValueError(f'dtype: expected one of {", ".join(DTYPES)}, got {dtype!r}')
    return np.dtype(name)


def non_negative(value, name, below=math.inf):
    """Return a number as a float, or raise a ValueError unless it is at least 0, finite and less than `below`."""
    number = math.nan
    if isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool):
        with contextlib.suppress(OverflowError):  # an int may be larger than every float
            number = float(value)
    if not 0 <= number < below:
        limit = '' if below == math.inf else f' and less than {below}'
        raise ValueError(f'{name}: expected a finite number of at least 0{limit}, got {value!r}')
    return number


def positive(value, name):
    """Return a number as a float, or raise a ValueError unless it is more than 0 and finite."""
    number = non_negative(value, name)
    if number == 0:
        raise ValueError(f'{name}: expected more than 0, got {value!r}')
    return number


def as_numbers(values, what):
    """Return `values` as an array of real numbers, or raise a ValueError that names them."""
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
