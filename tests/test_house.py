"""The plan of the house: imports go down only, and importing cnnx stays quick."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import cnnx

PACKAGE = Path(cnnx.__file__).parent
FLOORS = [
    {'_version', 'geometry', 'arrays', 'shown', 'errors', 'monitor', 'history', 'data', 'picture_sheet', 'pictures'},
    {'parameter', 'initializers', 'augmentation', 'output', 'shifted'},
    {'_numpy', '_ext'},
    {'kernels'},
    {'layers', 'losses', 'optimizers', 'schedules', 'checkpoint', 'progress', 'interruption', 'divergence'},
    {'groups', 'architecture'},
    {'blocks', 'metrics', 'samples', 'callbacks'},
    {'plan', 'runs', 'streams'},
    {'augmented'},
    {'loop'},
    {'training'},
    {'profiling', 'rate_finder', 'gradient_check', 'report'},
    {'doctor'},
    {'network', 'comparison'},
    {'models'},
    {'profile', 'augment', 'predict'},
]
FLOOR = {room: number for number, floor in enumerate(FLOORS) for room in floor}
MODULES = sorted(path for path in PACKAGE.rglob('*.py') if path != PACKAGE / '__init__.py')


def room_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix('.py')


def rooms_imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module == 'cnnx':
            names = [f'cnnx.{alias.name}' for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        yield from (name.split('.')[1] for name in names if name.startswith('cnnx.'))


@pytest.mark.parametrize('path', MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down(path):
    room = room_of(path)
    for imported in rooms_imported(path):
        if room == 'data':
            assert imported == 'data', 'data imports nothing of the rest'
        else:
            assert imported == room or FLOOR[imported] < FLOOR[room], f'{room} imports {imported}'


def test_every_room_has_its_floor():
    assert {room_of(path) for path in MODULES} == set(FLOOR)


def test_importing_cnnx_leaves_slow_libraries_alone():
    slow = {'pooch', 'requests', 'tqdm', 'matplotlib', 'PIL'}
    code = f'import sys, cnnx, cnnx.data; print(sorted({slow} & sys.modules.keys()))'
    assert subprocess.run([sys.executable, '-c', code], capture_output=True, text=True).stdout == '[]\n'


def test_public_names_are_documented():
    for name in cnnx.__all__:
        thing = getattr(cnnx, name)
        assert not callable(thing) or (thing.__doc__ or '').strip(), f'{name} has no docstring'
