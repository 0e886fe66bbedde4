"""Type stubs of the compiled kernels, read off their .pyx files; setup.py lays them beside what it compiles.

    python tools/stubs.py cnnx/_ext/pooling.pyx

What a .pyx leaves untyped is `Any`, and what a function returns is None unless its signature says otherwise.
"""

import re
import sys
from pathlib import Path

HEAD = """from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
"""
ELEMENTS = {'floating': '_Floating', 'int32_t': 'np.int32', 'int64_t': 'np.int64'}
TYPES = {
    'int': 'int',
    'Py_ssize_t': 'int',
    'uint64_t': 'int',
    'double': 'float',
    'bint': 'bool',
    'str': 'str',
    'list': 'list[Any]',
    'ArrayTable': 'ArrayTable',
}
PARAMETER = re.compile(
    r'(?:const )?(?:(?P<type>\w+)(?P<axes>\[[:, 1]+\])? )?(?P<name>\*{0,2}\w+)(?: not None)?(?:=(?P<default>\w+))?'
)
FUNCTION = re.compile(
    r'^(?P<indent> *)def (?P<name>\w+)\((?P<parameters>[^)]*)\)(?: -> (?P<returns>.+))?:$', re.MULTILINE
)
CLASS = re.compile(r'^cdef class (?P<name>\w+)(?:\((?P<base>\w+)\))?:\n(?P<body>(?:(?: {4}.*)?\n)*)', re.MULTILINE)
CONSTANT = re.compile(r'^    (\w+) = [A-Z_]+$', re.MULTILINE)
VARIABLE = re.compile(r'^([A-Z_]+) = ', re.MULTILINE)
ATTRIBUTE = re.compile(r'^    cdef (public|readonly) (\w+) (\w+)', re.MULTILINE)


def annotated(parameter):
    """Return a parameter as a stub has it: `const floating[::1] x` becomes `x: NDArray[_Floating]`."""
    match = PARAMETER.fullmatch(parameter)
    if match is None:
        raise ValueError(f'{parameter!r}: expected a parameter such as "const floating[::1] x" or "int n=1"')
    kind, name, default = match['type'], match['name'], match['default']
    if name == 'self':
        return name
    if kind is None:
        annotation = 'Any'
    elif match['axes']:
        annotation = f'NDArray[{ELEMENTS[kind]}]' + (' | None' if default == 'None' else '')
    else:
        annotation = TYPES[kind]
    return f'{name}: {annotation}' + (f' = {default}' if default else '')


def function(match):
    """Return the stub of what FUNCTION has found."""
    # A comma within brackets parts axes.
    parts = [' '.join(part.split()) for part in re.split(r',(?![^\[]*\])', match['parameters'])]
    shown = ', '.join(annotated(part) for part in parts if part)
    if match['name'] == '__cinit__':
        return f'    def __new__(cls, {shown.removeprefix("self, ")}) -> Self: ...'
    return f'{match["indent"]}def {match["name"]}({shown}) -> {match["returns"] or None}: ...'


def attributes(body):
    """Yield the stubs of a class's constants, and of attributes that a .pxd declares."""
    for name in CONSTANT.findall(body):
        yield f'    {name}: int'
    for access, kind, name in ATTRIBUTE.findall(body):
        if access == 'readonly':
            yield '    @property'
            yield f'    def {name}(self) -> {TYPES[kind]}: ...'
        else:
            yield f'    {name}: {TYPES[kind]}'


def class_stub(match, declaration):
    """Return the stub of what CLASS has found; `declaration` is the body of the class in the .pxd."""
    yield f'class {match["name"]}({match["base"]}):' if match['base'] else f'class {match["name"]}:'
    lines = [*attributes(match['body']), *attributes(declaration)]
    methods = {found['name']: found for found in FUNCTION.finditer(match['body'])}
    lines += [function(found) for name, found in methods.items() if name != '__dealloc__']
    yield from lines or ['    pass']


def code_of(path):
    """Return what stands in a file, without comments; '' if there is none."""
    return re.sub(r' *#.*', '', path.read_text(encoding='utf-8')) if path.exists() else ''


def stub_of(path):
    """Return the text of the stub of a .pyx file."""
    source, declared = code_of(path), code_of(path.with_suffix('.pxd'))
    declarations = {match['name']: match['body'] for match in CLASS.finditer(declared)}
    lines = [f'\n{name}: Any' for name in VARIABLE.findall(source)]
    for match in CLASS.finditer(source):
        lines += ['', *class_stub(match, declarations.get(match['name'], ''))]
    for match in FUNCTION.finditer(source):
        if not match['indent']:
            lines += ['', function(match)]
    body = '\n'.join(lines)
    imports = [
        f'from cnnx._ext.{module} import {name}'
        for module, name in (('array_table', 'ArrayTable'), ('program', 'Block'))
        if re.search(rf'\b{name}\b', body) and path.stem != module
    ]
    kinds = ["_Floating = TypeVar('_Floating', np.float32, np.float64)"] if '_Floating' in body else []
    return '\n'.join([HEAD, *imports, *kinds]) + f'\n{body}\n'


if __name__ == '__main__':
    for argument in sys.argv[1:]:
        print(stub_of(Path(argument)), end='')
