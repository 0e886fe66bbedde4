"""Hints: for names of Keras, PyTorch and scikit-learn, one line that says how it is done here.

The names themselves, and the lines, are in cnnx/_util/foreign_names.py.
"""

import functools
import inspect
import opcode
import os
import sys
from collections.abc import Callable
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar

from cnnx._util.foreign_names import FORMATS, NAMES

Function = TypeVar('Function')
IMPORT_FROM = opcode.opmap['IMPORT_FROM']


# The types have editors show the arguments of the function that is decorated.
def explained(keywords, note='', check=None) -> Callable[[Function], Function]:
    """Return a decorator of a function or method: a call that does not fit raises a TypeError with a hint.

    Args:
        keywords: what to write instead of keywords of other libraries, by name.
        note: what to add where arguments are missing, or too many are given by place.
        check: a function of the arguments given by place, a tuple, that raises an error about them.
    """

    def decorate(function):
        signature = inspect.signature(function)

        @functools.wraps(function)
        def checked(*arguments, **settings):
            if check is not None:
                check(arguments)
            try:
                return function(*arguments, **settings)
            except TypeError:
                try:
                    signature.bind(*arguments, **settings)
                except TypeError as error:
                    name = type(arguments[0]).__name__ if function.__name__ == '__init__' else function.__name__
                    line = _explanation(name, signature, error, arguments, settings, keywords, note)
                    raise TypeError(line) from None
                raise  # it is of what the function does

        return checked

    return decorate


def _explanation(name, signature, error, arguments, settings, keywords, note):
    """Return a line that says what is wrong with a call, and how to write it."""
    parameters = list(signature.parameters.values())[1:]  # without self, or the network
    by_place = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    by_name = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    unknown = [keyword for keyword in settings if keyword not in signature.parameters]
    note = f'; {note}' if note else ''
    if unknown and unknown[0] in keywords:
        return f'{name}({unknown[0]}=...): here {keywords[unknown[0]]}'
    if unknown:
        return f'{name}: no argument {unknown[0]}; expected {", ".join([*by_place, *by_name])}'
    if len(arguments) - 1 > len(by_place):
        allowed = f'only {", ".join(by_place)}' if by_place else 'no argument'
        line = f'{name}: {allowed} can be given without a name, got {len(arguments) - 1}{note}'
        return f'{line}; give the others by name: {", ".join(by_name[:6])}{", ..." * (len(by_name) > 6)}'
    return f'{name}: {error}{note}'


def check_keywords(kind, settings, keywords):
    """Raise a TypeError if a constructor does not take a keyword that another library has.

    Args:
        kind: the class.
        settings: what its constructor is to be called with, by name.
        keywords: what to write instead, by name.
    """
    for name in keywords.keys() & settings.keys() - inspect.signature(kind.__init__).parameters.keys():
        raise TypeError(f'{kind.__name__}({name}=...): here {keywords[name]}')


class Hinted:
    """Base class of objects that explain attributes which they have in other libraries.

    A subclass sets `_elsewhere`: what to write instead, by name.
    """

    _elsewhere = MappingProxyType({})

    if not TYPE_CHECKING:  # a type checker would take any attribute to be there

        def __getattr__(self, name):
            if name in self._elsewhere:
                raise AttributeError(f'{type(self).__name__}.{name}: here {self._elsewhere[name]}')
            return super().__getattribute__(name)  # raises what it has raised already, that of a property too


def explain_names(module):
    """Return `__getattr__` of a module: it explains names that other libraries have.

    Args:
        module: its name.
    """

    def explain(name):
        if name not in NAMES:
            raise AttributeError(f'module {module!r} has no attribute {name!r}')
        line = f'{module}.{name}: here {NAMES[name]}'
        caller = sys._getframe(1)
        # `from cnnx import Conv2D` replaces the text of an AttributeError by its own.
        importing = caller.f_code.co_code[caller.f_lasti] == IMPORT_FROM
        raise (ImportError if importing else AttributeError)(line)

    return explain


def public_names(module):
    """Return `__dir__` of a module: completion shows what it has for users, and no imports."""

    def names():
        found = vars(sys.modules[module])
        return found.get('__all__') or [name for name, value in found.items() if _is_public(name, value, module)]

    return names


def _is_public(name, value, module):
    return not name.startswith('_') and getattr(value, '__module__', None) == module


def hint_of_names(arrays):
    """Return what to add to an error about arrays whose names are those of PyTorch or Keras, or ''."""
    for layout, library, endings in (('torch', 'PyTorch', ('.weight', '.bias')), ('keras', 'Keras', ('kernel',))):
        theirs = next((name for name in arrays if name.removesuffix(':0').endswith(endings)), None)
        if theirs is not None:
            return f". {theirs} is a name of {library}: give layout='{layout}'"
    if 'arr_0' in arrays:
        return ". Its arrays have no names: give layout='torch' or layout='keras' if they are of one of these"
    return ''


def check_format(path, action):
    """Raise a ValueError if a path ends as files of another library do.

    Args:
        path: a string or an `os.PathLike`; anything else passes.
        action: what is done with the file: 'save', 'load', ...
    """
    ending = os.path.splitext(str(path))[1].lower()
    if ending in FORMATS:
        line = f'{action}: {path} is the name of a file of {FORMATS[ending]}; cnnx has .npz files: model.npz'
        others = 'Network.load reads .onnx files, load_weights .safetensors and .weights.h5 files'
        if action == 'save_weights' and FORMATS[ending] == 'Keras':
            line += ". With layout='keras', Keras takes its arrays by set_weights"
        if action.startswith('load') and ending == '.keras':
            others += (
                ". Keras writes these by model.export('m.onnx', format='onnx') or model.save_weights('w.weights.h5')"
            )
        raise ValueError(f'{line}; {others}' if action.startswith('load') else line)
