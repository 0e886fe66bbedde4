"""The plan of the house: imports go one way, each module has its tests, and importing cnnx stays quick."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import cnnx

PACKAGE = Path(cnnx.__file__).parent
ROOT = Path(__file__).parents[1]
# Network.export, Network.load and the like import these where they are called.
OPTIONAL = {'export', 'importing', 'visual', 'distributed', 'sklearn'}
MODULES = sorted(path for path in PACKAGE.rglob('*.py') if path != PACKAGE / '__init__.py')
# Modules whose tests do not stand where their names lead, and why.
# Its errors are what the tests of files, folders and states look at.
WITHOUT_TESTS = {'checkpoint/errors.py'}


def floors():
    """Return the rooms of each floor, the lowest first, as the table 'The house' of CONTRIBUTING.md has them."""
    section = (ROOT / 'CONTRIBUTING.md').read_text().partition('## The house\n')[2].partition('\n## ')[0]
    rows = re.findall(r'^\| (`.*?) \|', section, re.MULTILINE)
    return [re.findall(r'`cnnx/(\w+)(?:\.py|/)`', row) for row in rows]


FLOOR = {room: number for number, floor in enumerate(floors()) for room in floor}


def room_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix('.py')


def imports(path):
    """Yield (room, whether it is imported within a function) for each import of cnnx."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module == 'cnnx':
            names = [f'cnnx.{alias.name}' for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        yield from ((name.split('.')[1], node.col_offset > 0) for name in names if name.startswith('cnnx.'))


@pytest.mark.parametrize('path', MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down(path):
    room = room_of(path)
    for imported, within in imports(path):
        if room == 'data':
            assert imported == 'data', 'data imports nothing of the rest'
        elif not (room == 'network' and within and imported in OPTIONAL):
            assert imported == room or FLOOR[imported] < FLOOR[room], f'{room} imports {imported}'


def test_every_room_has_its_floor():
    assert {room_of(path) for path in MODULES} == set(FLOOR)


def has_tests(path):
    place = path.relative_to(PACKAGE)
    return (ROOT / 'tests' / place.with_name(f'test_{place.name}')).exists()


def test_every_module_has_tests_where_its_name_leads():
    # Kernels are tested in tests/_ext, both twins at once.
    modules = {path for path in MODULES if path.name not in ('__init__.py', '__main__.py', '_version.py')}
    missing = {path for path in modules if room_of(path) not in ('_ext', '_numpy') and not has_tests(path)}
    assert {path.relative_to(PACKAGE).as_posix() for path in missing} == WITHOUT_TESTS


def test_importing_cnnx_leaves_slow_libraries_alone():
    slow = {'pooch', 'requests', 'tqdm', 'matplotlib', 'PIL', 'onnx', 'safetensors', 'pyfive', 'sklearn'}
    code = f'import sys, cnnx, cnnx.data; print(sorted({slow} & sys.modules.keys()))'
    assert subprocess.run([sys.executable, '-c', code], capture_output=True, text=True).stdout == '[]\n'


def test_public_names_are_documented():
    for name in cnnx.__all__:
        thing = getattr(cnnx, name)
        assert not callable(thing) or (thing.__doc__ or '').strip(), f'{name} has no docstring'
