"""The type stubs of the compiled kernels say what is compiled, and what the NumPy twins take."""

import ast
import importlib
import inspect
from pathlib import Path

import pytest

import cnnx
from cnnx import kernels
from tools import stubs

PACKAGE = Path(cnnx.__file__).parent


def stub_text(module):
    """Return the stub that lies beside a compiled module, as in a wheel, or is made of the sources."""
    beside = Path(module.__file__).parent / f'{module.__name__.split(".")[-1]}.pyi'
    if beside.exists():
        return beside.read_text(encoding='utf-8')
    return stubs.stub_of(PACKAGE / '_ext' / f'{beside.stem}.pyx')


def parameters(function):
    """Return the names of a stub's parameters, and which have defaults."""
    arguments = function.args
    names = [argument.arg for argument in arguments.args]
    return names, names[len(names) - len(arguments.defaults) :]


def names_and_defaults(thing):
    shown = inspect.signature(thing).parameters.values()
    return [p.name for p in shown], [p.name for p in shown if p.default is not p.empty]


def functions(body):
    return {node.name: node for node in body if isinstance(node, ast.FunctionDef)}


@pytest.fixture
def modules(compiled_kernels):
    """The compiled modules in use, by name."""
    tier = kernels.current().tier
    names = [path.stem for path in (PACKAGE / '_numpy').glob('*.py') if path.stem != '__init__']
    of_tiers = {name: f'{tier}.{name}' for name in names if name not in kernels.COMPILED_ONCE}
    once = {name: name for name in ('cpu', *kernels.COMPILED_ONCE)}
    return {name: importlib.import_module(f'cnnx._ext.{place}') for name, place in {**of_tiers, **once}.items()}


def test_a_stub_has_what_its_module_has(modules):
    seen = 0
    for module in modules.values():
        tree = ast.parse(stub_text(module))
        classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
        own = {key for key, value in vars(module).items() if getattr(value, '__module__', None) == module.__name__}
        ours = {key for key in own if not key.startswith('__')}  # others are Cython's, for pickle
        assert ours == {*classes, *functions(tree.body)}, module.__name__
        for name, function in functions(tree.body).items():
            assert parameters(function) == names_and_defaults(getattr(module, name)), name
            seen += 1
        for name, node in classes.items():
            for method, function in functions(node.body).items():
                assert hasattr(getattr(module, name), method), f'{name}.{method}'
                if not method.startswith('__') and not function.decorator_list:
                    assert parameters(function) == names_and_defaults(getattr(getattr(module, name), method)), method
            seen += 1
    assert seen > 50


def test_a_stub_has_what_the_numpy_twin_has(modules):
    for name, module in modules.items():
        if name == 'cpu':
            continue
        twin = importlib.import_module(f'cnnx._numpy.{name}')
        tree = ast.parse(stub_text(module))
        for function in functions(tree.body):
            expected = inspect.signature(getattr(twin, function)).parameters
            assert parameters(functions(tree.body)[function])[0] == list(expected), function
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and (constructor := functions(node.body).get('__init__')):
                expected = inspect.signature(getattr(twin, node.name).__init__).parameters
                assert parameters(constructor)[0] == list(expected), node.name


def test_types_are_read_off_a_signature(tmp_path):
    source = tmp_path / 'sample.pyx'
    source.write_text("""
cdef inline int hidden(int n) except -1:
    return n


def turn(
    const floating[:, ::1] x,     # IN   (N, C)
    int32_t[::1] y, window, ArrayTable table not None,
    bint there=0, const int64_t[::1] order=None, int num_threads=1,
) -> float:
    pass


cdef class Wheel(Block):
    cdef int hidden
    size = SIZE

    def __init__(self, list spokes):
        pass

    cdef void roll(self):
        pass

    def turn(self, Py_ssize_t times) -> bool:
        pass
""")
    source.with_suffix('.pxd').write_text('cdef class Wheel(Block):\n    cdef public double angle  # in degrees\n')
    lines = stubs.stub_of(source).splitlines()
    assert lines[lines.index('class Wheel(Block):') :] == [
        'class Wheel(Block):',
        '    size: int',
        '    angle: float',
        '    def __init__(self, spokes: list[Any]) -> None: ...',
        '    def turn(self, times: int) -> bool: ...',
        '',
        'def turn('
        'x: NDArray[_Floating], y: NDArray[np.int32], window: Any, table: ArrayTable, '
        'there: bool = 0, order: NDArray[np.int64] | None = None, num_threads: int = 1) -> float: ...',
    ]
    assert 'from cnnx._ext.array_table import ArrayTable' in lines


def test_a_type_that_stubs_do_not_know_is_an_error(tmp_path):
    source = tmp_path / 'sample.pyx'
    source.write_text('def turn(complex[::1] x):\n    pass\n')
    with pytest.raises(KeyError, match='complex'):
        stubs.stub_of(source)
