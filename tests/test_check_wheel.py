"""tools/check_wheel.py finds each fault that a wheel may have."""

import zipfile

import pytest

from tools import check_wheel

INFO = 'cnnx-1.2.dist-info'
LINUX = 'cp311-cp311-manylinux_2_28_x86_64'
WINDOWS = 'cp314-cp314-win_amd64'
PURE = 'py3-none-any'


@pytest.fixture
def root(tmp_path):
    """A small repository, of version 1.2 and one kernel."""
    for name, text in {
        '__init__.py': '',
        '_version.py': "__version__ = '1.2'\n",
        '_ext/__init__.py': '',
        '_ext/dense.pyx': '',
        '_ext/cpu.pyx': '',
    }.items():
        path = tmp_path / 'cnnx' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


@pytest.fixture
def wheel(root):
    """Return a function that makes a wheel with some files changed, None for one that is not there."""

    def make(tags, files=None):
        content = dict.fromkeys((*check_wheel.python_files(root), *check_wheel.NEEDED), '')
        content['{info}/METADATA'] = 'Version: 1.2\n'
        content['{info}/WHEEL'] = f'Root-Is-Purelib: {str(tags == PURE).lower()}\n'
        for module in check_wheel.COMPILED_ONCE if tags != PURE else ():
            content[f'cnnx/_ext/{module}.so'] = content[f'cnnx/_ext/{module}.pyi'] = ''
        for tier in {LINUX: ('v2', 'v3', 'v4'), WINDOWS: ('portable',), PURE: ()}[tags]:
            content[f'cnnx/_ext/{tier}/dense.cpython-311.so'] = content[f'cnnx/_ext/{tier}/dense.pyi'] = ''
        content.pop('cnnx/_ext/_cython.pyi', None)
        path = root / f'cnnx-1.2-{tags}.whl'
        with zipfile.ZipFile(path, 'w') as archive:
            for name, text in {**content, **(files or {})}.items():
                if text is not None:
                    archive.writestr(name.format(info=INFO), text)
        return list(check_wheel.complaints(path, root))

    return make


@pytest.mark.parametrize('tags', [LINUX, WINDOWS, PURE])
def test_a_wheel_as_it_should_be_passes(wheel, tags):
    assert wheel(tags) == []


@pytest.mark.parametrize(
    ('tags', 'files', 'complaint'),
    [
        (LINUX, {'cnnx/_ext/dense.pyx': ''}, 'no place in a wheel: cnnx/_ext/dense.pyx'),
        (LINUX, {'cnnx/_ext/gemm.h': '', 'cnnx/_ext/a.c': ''}, 'no place in a wheel: cnnx/_ext/a.c, cnnx/_ext/gemm.h'),
        (LINUX, {'cnnx/__pycache__/a.pyc': ''}, 'no place in a wheel: cnnx/__pycache__/a.pyc'),
        (LINUX, {'tests/models.py': ''}, 'outside the package: tests/models.py'),
        (LINUX, {'cnnx/forgotten.py': ''}, 'Python files: cnnx/forgotten.py too much'),
        (LINUX, {'cnnx/_ext/__init__.py': None}, 'Python files: cnnx/_ext/__init__.py missing'),
        (LINUX, {'cnnx/py.typed': None}, 'files: cnnx/py.typed missing'),
        (LINUX, {'{info}/licenses/LICENSE': None}, f'files: {INFO}/licenses/LICENSE missing'),
        (LINUX, {'cnnx/_ext/v3/dense.cpython-311.so': None}, 'compiled modules: v3.dense missing'),
        (LINUX, {'cnnx/_ext/v3/dense.pyi': None}, 'stubs: v3.dense missing'),
        (WINDOWS, {'cnnx/_ext/v3/dense.pyd': ''}, 'compiled modules: v3.dense too much'),
        (PURE, {'cnnx/_ext/cpu.so': ''}, 'compiled modules: cpu too much'),
        (PURE, {'{info}/WHEEL': 'Root-Is-Purelib: false\n'}, 'Root-Is-Purelib is false'),
        (LINUX, {'{info}/WHEEL': 'Root-Is-Purelib: true\n'}, 'Root-Is-Purelib is true'),
        (LINUX, {'{info}/METADATA': 'Version: 1.1\n'}, 'the version is not 1.2'),
        (LINUX, {'cnnx/_ext/v3/dense.cpython-311.so': bytes(6_000_001)}, 'bytes, more than 6,000,000'),
    ],
)
def test_a_fault_is_found(wheel, tags, files, complaint):
    assert complaint in '; '.join(wheel(tags, files=files))
