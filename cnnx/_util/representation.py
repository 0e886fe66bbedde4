"""Printing and describing objects by the arguments of their constructors."""

import html
import inspect

import numpy as np


class ReprFromArguments:
    """Base class of objects whose repr is the call that makes them.

    Each argument of the constructor is kept in an attribute of the same name.
    """

    def __repr__(self):
        names = inspect.signature(type(self)).parameters
        arguments = ', '.join(f'{name}={getattr(self, name)!r}' for name in names if hasattr(self, name))
        return f'{type(self).__name__}({arguments})'


class Configurable(ReprFromArguments):
    """Base class of objects whose public attributes are exactly the arguments of their constructor."""

    def settings(self):
        """Return the arguments of the constructor, by name, as values that JSON can hold."""
        return {name: value for name, value in vars(self).items() if not name.startswith('_')}


def html_table(header, rows, caption=''):
    """Return a table in HTML, as `_repr_html_` of what notebooks show.

    Args:
        header: the names of the columns.
        rows: a sequence of rows, each with a cell a column; None is an empty cell.
        caption: a line above the table.
    """
    lines = [f'<tr>{"".join(f"<th>{html.escape(str(cell))}</th>" for cell in header)}</tr>']
    for row in rows:
        cells = ('' if cell is None else html.escape(str(cell)) for cell in row)
        lines.append(f'<tr>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>')
    caption = f'<caption>{html.escape(caption)}</caption>' if caption else ''
    return f'<table>{caption}{"".join(lines)}</table>'


def arguments_of(thing):
    """Return the arguments of an object's constructor, by name, from the attributes of these names.

    Raises:
        TypeError: there is no such attribute.
    """
    kind = type(thing)
    arguments = [
        p for p in inspect.signature(kind).parameters.values() if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]
    missing = [p.name for p in arguments if not hasattr(thing, p.name)]
    if missing:
        name = kind.__name__
        raise TypeError(f'{name}: keep the argument {missing[0]} in self.{missing[0]}, or define {name}.settings')
    return {p.name: getattr(thing, p.name) for p in arguments}


def as_json(value, where):
    """Convert a value to JSON's own types: tuples and arrays to lists, NumPy's numbers to Python's.

    Args:
        value: a number, string, list, dict, array or None.
        where: what error messages begin with.

    Raises:
        TypeError: JSON cannot hold the value.
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
