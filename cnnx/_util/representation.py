"""How objects are shown: as they were made."""

import inspect

import numpy as np


class Shown:
    """Shown by the constructor's arguments, which are kept in attributes of their names."""

    def __repr__(self):
        names = inspect.signature(type(self)).parameters
        arguments = ', '.join(f'{name}={getattr(self, name)!r}' for name in names if hasattr(self, name))
        return f'{type(self).__name__}({arguments})'


class Described(Shown):
    """One whose attributes that are not private are the constructor's arguments, and no others."""

    def settings(self):
        """Return the constructor's arguments as JSON can hold them."""
        return {name: value for name, value in vars(self).items() if not name.startswith('_')}


def as_json(value, where):
    """Return a value in JSON's own types: tuples and arrays as lists, NumPy's numbers as Python's.

    Raises:
        TypeError: JSON cannot hold it; the message begins with `where` it is.
    """
    if isinstance(value, (np.ndarray, np.generic)):
        value = value.tolist()
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: as_json(inner, f'{where}: {key}') for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_json(inner, where) for inner in value]
    if value is not None and not isinstance(value, (bool, int, float, str)):
        raise TypeError(f'{where}: expected what JSON can hold, got {value!r}')
    return value
