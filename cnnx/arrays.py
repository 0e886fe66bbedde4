"""Arrays at the border: what users may pass, and where results are written."""

import contextlib
import inspect
import math
import os

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
    number = _as_float(value)
    if not 0 <= number < below:
        raise ValueError(f'{name}: expected a finite number of at least 0{_limit(below)}, got {value!r}')
    return number


def positive(value, name, below=math.inf):
    """Return a number as a float, or raise a ValueError unless it is more than 0, finite and less than `below`."""
    number = _as_float(value)
    if not 0 < number < below:
        raise ValueError(f'{name}: expected a finite number of more than 0{_limit(below)}, got {value!r}')
    return number


def _as_float(value):
    """Return a number as a float, and anything else as NaN."""
    if isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool):
        with contextlib.suppress(OverflowError):  # an int may be larger than every float
            return float(value)
    return math.nan


def _limit(below):
    return '' if below == math.inf else f' and less than {below}'


def true_or_false(value, name):
    """Return a bool, Python's or NumPy's, as Python's, or raise a ValueError that names it."""
    if not isinstance(value, (bool, np.bool_)):
        raise ValueError(f'{name}: expected True or False, got {value!r}')
    return bool(value)


def path_of_file(path):
    """Return a path, or raise a ValueError if it is none."""
    if not isinstance(path, (str, os.PathLike)) or not os.fspath(path):
        raise ValueError(f'path: expected the path of a file, got {path!r}')
    return path


def function_of(function, name, *arguments):
    """Return a function, or raise a ValueError if it cannot be called with so many arguments.

    Args:
        function: of a user's.
        name: how errors name it.
        arguments: what it is given, as errors say it.
    """
    expected = f'{name}: expected a function of ({", ".join(arguments)})'
    if not callable(function):
        raise ValueError(f'{expected}, got {function!r}')
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # functions in C need not tell
        return function
    try:
        signature.bind(*arguments)
    except TypeError:
        raise ValueError(f'{expected}, got one of {signature}') from None
    return function


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
