"""Installing from the sources where something is amiss: without a compiler, with one that fails, without OpenMP.

These run pip, which takes a minute or more and needs a package index or its cache: `pytest -m slow`. A tree of few
kernels stands for the whole.
"""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
KEPT = ('array_table', 'cpu', 'peak_speed', 'program')
REFUSAL = 'this compiler is out of order'

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (ROOT / 'setup.py').exists(), reason='needs the sources, of which a wheel has none'),
    pytest.mark.skipif(os.name != 'posix', reason='its compilers are shell scripts'),
]


@pytest.fixture
def tree(tmp_path):
    """A copy of the sources with few kernels."""
    ignored = shutil.ignore_patterns('__pycache__', '*.so', 'mnist_subset')
    target = tmp_path / 'tree'
    shutil.copytree(ROOT / 'cnnx', target / 'cnnx', ignore=ignored)
    for path in (target / 'cnnx' / '_ext').glob('*.pyx'):
        if path.stem not in KEPT:
            path.unlink()
    (target / 'tools').mkdir()
    for name in ('setup.py', 'pyproject.toml', 'README.md', 'LICENSE', 'tools/kernel_cache.py', 'tools/stubs.py'):
        shutil.copy(ROOT / name, target / name)
    attribution = 'cnnx/data/mnist_subset/ATTRIBUTION.md'
    (target / attribution).parent.mkdir()
    shutil.copy(ROOT / attribution, target / attribution)
    return target


@pytest.fixture
def compiler(tmp_path):
    """Return a function that makes a C compiler of a shell script."""

    def make(script):
        path = tmp_path / 'compiler'
        path.write_text(f'#!/bin/sh\n{script}\n')
        path.chmod(0o755)
        return str(path)

    return make


def install(tree, *options, **environment):
    """Install the tree with pip, without its dependencies, compiled in haste; return what is said."""
    variables = {key: value for key, value in os.environ.items() if not key.startswith(('CNNX_', 'CFLAGS', 'LDFLAGS'))}
    command = [sys.executable, '-m', 'pip', 'install', '-v', '--no-deps', *options]
    variables['CNNX_CFLAGS'] = '-O0'
    return subprocess.run(command, cwd=tree, env=variables | environment, capture_output=True, text=True)


def python(folder, code, **environment):
    """Run code that imports what was installed to a folder; return (exit status, stdout, stderr)."""
    variables = {key: value for key, value in os.environ.items() if not key.startswith('CNNX_')}
    run = subprocess.run(
        [sys.executable, '-c', code],
        cwd=folder,
        env=variables | {'PYTHONPATH': str(folder)} | environment,
        capture_output=True,
        text=True,
    )
    return run.returncode, run.stdout, run.stderr


def compiled(folder):
    return sorted(path.name.split('.')[0] for path in (folder / 'cnnx' / '_ext').rglob('*.so'))


def test_without_a_compiler_it_installs_and_first_use_says_what_to_do(tree, tmp_path):
    (tmp_path / 'bin').mkdir()
    run = install(tree, '--target', 'installed', '.', PATH=str(tmp_path / 'bin'))
    assert run.returncode == 0, run.stdout + run.stderr
    installed = tree / 'installed'
    assert compiled(installed) == []
    use = 'import cnnx; print(cnnx.ReLU().forward([[-1, 2]]), cnnx.__file__)'
    status, out, err = python(installed, use)
    assert (status, out) == (0, f'[[0. 2.]] {installed / "cnnx" / "__init__.py"}\n')
    assert err.count('RuntimeWarning') == 1
    for part in ('NumPy kernels', 'Install a C compiler and install cnnx again', 'CNNX_REQUIRE_EXT=1'):
        assert part in err
    status, out, _ = python(installed, 'import cnnx; cnnx.show_config()')
    assert status == 0
    assert 'backend:   numpy' in out


def test_where_kernels_are_required_the_compiler_s_message_is_shown(tree, compiler):
    run = install(tree, '--target', 'installed', '.', CNNX_REQUIRE_EXT='1', CC=compiler(f'echo {REFUSAL} >&2; exit 1'))
    assert run.returncode != 0
    assert REFUSAL in run.stdout + run.stderr
    assert not (tree / 'installed').exists()


def test_a_rebuild_that_fails_leaves_no_old_binary(tree, tmp_path, compiler):
    editable = ('--prefix', str(tmp_path / 'prefix'), '-e', '.')
    run = install(tree, *editable)
    assert run.returncode == 0, run.stdout + run.stderr
    assert {'cpu', 'peak_speed'} <= set(compiled(tree))
    run = install(tree, *editable, CC=compiler('exit 1'))
    assert run.returncode == 0, run.stdout + run.stderr
    assert compiled(tree) == []


def test_without_openmp_it_is_built_for_one_thread(tree, compiler):
    script = f'case " $* " in *" -fopenmp "*) echo no OpenMP >&2; exit 1;; esac\nexec {os.environ.get("CC", "cc")} "$@"'
    wrapper = compiler(script)
    run = install(tree, '--target', 'installed', '.', CC=wrapper, LDSHARED=f'{wrapper} -shared', CNNX_REQUIRE_EXT='1')
    assert run.returncode == 0, run.stdout + run.stderr
    assert 'the kernels are built without threads' in run.stdout + run.stderr
    tell = 'from cnnx._ext.cpu import build_info; print(build_info()["openmp"])'
    assert python(tree / 'installed', tell)[:2] == (0, 'False\n')


def test_without_extensions_the_wheel_is_for_every_platform(tree):
    command = [sys.executable, '-m', 'pip', 'wheel', '--no-deps', '--wheel-dir', 'wheels', '.']
    subprocess.run(command, cwd=tree, env=os.environ | {'CNNX_NO_EXT': '1'}, check=True, capture_output=True)
    (wheel,) = (tree / 'wheels').iterdir()
    assert wheel.name.endswith('-py3-none-any.whl')


def test_only_what_has_changed_is_compiled_again(tree, tmp_path, compiler):
    log = tmp_path / 'log'
    wrapper = compiler(f'echo "$@" >> {log}\nexec {os.environ.get("CC", "cc")} "$@"')

    def modules_compiled(**environment):
        log.write_text('')
        run = install(tree, '--prefix', str(tmp_path / 'prefix'), '-e', '.', CC=wrapper, CNNX_TIERS='v2', **environment)
        assert run.returncode == 0, run.stdout + run.stderr
        assert set(compiled(tree)) == every_module
        return set(re.findall(r'/(\w+)\.c ', log.read_text())) - {'openmp', 'fused'}  # what setup.py asks the compiler

    every_module = {'_cython', *KEPT}
    assert modules_compiled() == every_module
    assert modules_compiled() == set()
    with open(tree / 'cnnx' / '_ext' / 'simd' / 'peak_speed.h', 'a') as header:
        header.write('/* changed */\n')
    assert modules_compiled() == {'peak_speed'}
    assert modules_compiled(CNNX_BOUNDSCHECK='1') == every_module
    assert modules_compiled() == set()


def test_a_module_that_was_renamed_is_not_in_the_next_wheel(tree):
    def modules_of_wheel():
        shutil.rmtree(tree / 'wheels', ignore_errors=True)
        command = [sys.executable, '-m', 'pip', 'wheel', '--no-deps', '--wheel-dir', 'wheels', '.']
        subprocess.run(command, cwd=tree, check=True, capture_output=True)
        (wheel,) = (tree / 'wheels').iterdir()
        with zipfile.ZipFile(wheel) as archive:
            return {name.split('.')[0].split('/')[-1] for name in archive.namelist() if name.endswith('.so')}

    assert 'peak_speed' in modules_of_wheel()
    (tree / 'cnnx' / '_ext' / 'peak_speed.pyx').rename(tree / 'cnnx' / '_ext' / 'speed.pyx')
    assert modules_of_wheel() >= {'speed'}
    assert 'peak_speed' not in modules_of_wheel()


def test_a_tier_that_is_not_there_is_refused(tree):
    run = install(tree, '--target', 'installed', '.', CNNX_TIERS='v3,v9')
    assert run.returncode != 0
    assert 'CNNX_TIERS: expected all, or some of v2, v3, v4, got v9' in run.stdout + run.stderr


@pytest.mark.skipif(not sysconfig.get_platform().endswith('-x86_64'), reason='tiers are of x86-64')
def test_an_editable_install_has_the_tier_of_this_processor_and_a_wheel_has_all(tree, tmp_path, compiler):
    def tiers(folder):
        return {path.parent.name for path in (folder / 'cnnx' / '_ext').rglob('*.so')} - {'_ext'}

    editable = ('--prefix', str(tmp_path / 'prefix'), '-e', '.')
    assert install(tree, *editable).returncode == 0
    supported = python(tree, 'from cnnx._ext.cpu import supported_tiers; print(*supported_tiers())')[1].split()
    assert tiers(tree) == {supported[0]}
    assert install(tree, *editable, CNNX_TIERS='all').returncode == 0
    assert tiers(tree) == {'v2', 'v3', 'v4'}
    assert install(tree, '--target', 'installed', '.').returncode == 0
    assert tiers(tree / 'installed') == {'v2', 'v3', 'v4'}
    wrapper = compiler(f'case "$*" in *tiers.c*) exit 1;; esac\nexec {os.environ.get("CC", "cc")} "$@"')
    run = install(tree, *editable, CC=wrapper)
    assert 'the kernels are built for all tiers' in run.stdout + run.stderr
    assert tiers(tree) == {'v2', 'v3', 'v4'}


def test_modules_of_another_python_stay(tree, tmp_path):
    ours, others = (tree / 'cnnx' / '_ext' / f'cpu{suffix}' for suffix in (EXTENSION_SUFFIXES[0], '.cpython-399.so'))
    for path in (ours, others):
        path.touch()
    run = install(tree, '--prefix', str(tmp_path / 'prefix'), '-e', '.', CNNX_NO_EXT='1')
    assert run.returncode == 0, run.stdout + run.stderr
    assert [path.exists() for path in (ours, others)] == [False, True]
