"""Argument checks: each returns the value in one standard form, or raises a ValueError that names the argument."""

import contextlib
import inspect
import math
import numbers
import os
from collections.abc import Iterable

import numpy as np

# The largest size of an axis, a window or a stride: products of two of them fit into the integers of kernels.
MAX_SIZE = 2**31 - 1
DTYPES = ('float32', 'float64')


def shown(value):
    """Return how an error shows a value: its repr in one line, cut after 80 characters."""
    line = ' '.join(repr(value).split())
    return line if len(line) <= 80 else f'{line[:77]}...'


def is_whole(value):
    """Return whether a value is an integer, of Python or NumPy, and not a bool."""
    return isinstance(value, (int, numbers.Integral)) and not isinstance(value, (bool, np.timedelta64))


def is_number(value):
    """Whether a value is a real number, Python's or NumPy's."""
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def positive_int(value, name):
    """Return `value` as an int of at least 1, or raise a ValueError that names it."""
    if not is_whole(value) or value < 1:
        raise ValueError(f'{name}: expected a whole number of at least 1, got {shown(value)}')
    return int(value)


def whole_number(value, name, most=math.inf):
    """Return `value` as an int from 0 to `most`, or raise a ValueError that names it."""
    if not is_whole(value) or not 0 <= value <= most:
        raise ValueError(f'{name}: expected a whole number of at least 0, got {shown(value)}')
    return int(value)


def checked_size(value, name):
    """Return `value` as an int from 1 to MAX_SIZE, or raise a ValueError that names it."""
    if positive_int(value, name) > MAX_SIZE:
        raise ValueError(f'{name}: expected at most {MAX_SIZE}, got {shown(value)}')
    return int(value)


def check_dtype(dtype):
    """Return a NumPy dtype, or raise a ValueError unless it is float32 or float64."""
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
        raise ValueError(f'{name}: expected a finite number of at least 0{_limit(below)}, got {shown(value)}')
    return number


def positive(value, name, below=math.inf):
    """Return a number as a float, or raise a ValueError unless it is more than 0, finite and less than `below`."""
    number = _as_float(value)
    if not 0 < number < below:
        raise ValueError(f'{name}: expected a finite number of more than 0{_limit(below)}, got {shown(value)}')
    return number


def _as_float(value):
    """Return a number as a float, and anything else as NaN."""
    if is_number(value):
        with contextlib.suppress(OverflowError):  # an int may be larger than every float
            return float(value)
    return math.nan


def _limit(below):
    return '' if below == math.inf else f' and less than {below}'


def true_or_false(value, name):
    """Return a bool, of Python or NumPy, as Python's, or raise a ValueError that names it."""
    if not isinstance(value, (bool, np.bool_)):
        raise ValueError(f'{name}: expected True or False, got {shown(value)}')
    return bool(value)


def names_of_classes(names, outputs=None):
    """Return the names of classes as a tuple, or None, or raise a ValueError unless they are strings that differ.

    Args:
        names: what the user passed; None for no names.
        outputs: how many outputs there are, one a class, or a single one for two classes; None if not known.
    """
    if names is None:
        return None
    found = () if isinstance(names, (str, bytes)) or not isinstance(names, Iterable) else tuple(names)
    if not found or not all(isinstance(name, str) for name in found) or len(set(found)) < len(found):
        raise ValueError(f"class_names: expected names that differ, such as ('cat', 'dog'), got {names!r:.60}")
    if outputs is not None and len(found) != max(outputs, 2):
        raise ValueError(
            f'class_names: expected {max(outputs, 2)} names, in the order of the outputs, got {len(found)}'
        )
    return tuple(map(str, found))


def path_of_file(path):
    """Return a path as it is, or raise a ValueError unless it is a string or os.PathLike, and not empty."""
    if not isinstance(path, (str, os.PathLike)) or not os.fspath(path):
        raise ValueError(f'path: expected the path of a file, got {shown(path)}')
    return path


def function_of(function, name, *arguments):
    """Return a function, or raise a ValueError unless it can be called with the arguments.

    Args:
        function: what the user passed.
        name: what errors call it.
        arguments: the names of the positional arguments that it will get.
    """
    expected = f'{name}: expected a function of ({", ".join(arguments)})'
    if not callable(function):
        raise ValueError(f'{expected}, got {shown(function)}')
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # functions written in C may have no signature
        return function
    try:
        signature.bind(*arguments)
    except TypeError:
        raise ValueError(f'{expected}, got one of {signature}') from None
    return function
