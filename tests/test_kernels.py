"""Which kernels are chosen, and what is said about it. Choices are made once a process, so most run in a fresh one."""

import importlib.util
import os
import subprocess
import sys
import threading

import pytest
from tiers import TIERS

import cnnx
from cnnx import kernels


def python(code, **environment):
    """Run code in a fresh interpreter; return (exit status, stdout, stderr)."""
    variables = {key: value for key, value in os.environ.items() if not key.startswith('CNNX_')}
    run = subprocess.run(
        [sys.executable, '-c', code], env=variables | environment, capture_output=True, text=True, timeout=60
    )
    return run.returncode, run.stdout, run.stderr


needs_compiled_kernels = pytest.mark.skipif(
    python('import cnnx; cnnx.use_backend("cython").__enter__()')[0] != 0, reason='the compiled kernels are missing'
)
WITHOUT_KERNELS = "import sys; sys.modules['cnnx._ext.cpu'] = None\n"


@needs_compiled_kernels
def test_the_compiled_kernels_are_the_default():
    status, out, err = python('import cnnx; print(cnnx.show_config()["backend"])')
    assert (status, out.split()[-1], err) == (0, 'cython', '')


def test_without_them_numpy_is_used_and_said_once_with_the_way_out():
    code = WITHOUT_KERNELS + 'import cnnx\nfor _ in range(3): print(cnnx.ReLU().forward([[-1, 2]]))'
    status, out, err = python(code)
    assert status == 0
    assert out == '[[0. 2.]]\n' * 3
    assert err.count('RuntimeWarning') == 1
    for part in ('NumPy', 'cnnx._ext.cpu', 'C compiler', 'CNNX_BACKEND=numpy'):
        assert part in err


def test_numpy_asked_for_is_used_in_silence():
    status, out, err = python('import cnnx; cnnx.ReLU().forward([[1]]); cnnx.show_config()', CNNX_BACKEND='numpy')
    assert (status, err) == (0, '')
    assert 'backend:   numpy' in out


def test_cython_asked_for_and_not_there_is_an_error():
    status, _, err = python(WITHOUT_KERNELS + 'import cnnx; cnnx.ReLU().forward([[1]])', CNNX_BACKEND='cython')
    assert status == 1
    assert 'BackendError: the compiled kernels are missing' in err


@pytest.mark.parametrize(
    ('variable', 'value', 'message'),
    [
        ('CNNX_BACKEND', 'cuda', "CNNX_BACKEND: expected one of auto, cython, numpy, got 'cuda'"),
        ('CNNX_NUM_THREADS', 'all', "CNNX_NUM_THREADS: expected a whole number of at least 1, got 'all'"),
        ('CNNX_NUM_THREADS', '0', 'CNNX_NUM_THREADS: expected a whole number of at least 1, got 0'),
        ('CNNX_NUM_THREADS', '100000', 'CNNX_NUM_THREADS: expected at most 256 threads, got 100000'),
    ],
)
def test_a_variable_that_makes_no_sense_is_an_error(variable, value, message):
    code = 'import cnnx; cnnx.Dense(2000, 2000).forward([[1] * 2000])'
    status, _, err = python(code, **{variable: value})
    assert status == 1
    assert message in err


@pytest.mark.parametrize(
    ('openmp', 'ours', 'expected'),
    [('3', None, '3'), (' 5, 2', None, '5'), ('9999', None, '256'), ('3', '2', '2')],
)
def test_threads_are_those_of_openmp_where_ours_are_not_given(openmp, ours, expected):
    given = {'CNNX_NUM_THREADS': ours} if ours else {}
    assert python('import cnnx; print(cnnx.num_threads())', OMP_NUM_THREADS=openmp, **given)[1].strip() == expected


@pytest.mark.parametrize('openmp', ['', 'many', *(pytest.param(n, marks=pytest.mark.slow) for n in ('0', '-1'))])
def test_without_a_number_each_processor_has_a_thread(openmp):
    code = 'import cnnx; print(cnnx.num_threads() == cnnx.kernels.available_processors())'
    assert python(code, OMP_NUM_THREADS=openmp)[1] == 'True\n'


@needs_compiled_kernels
def test_a_tier_can_be_chosen_and_a_wrong_one_is_refused():
    code = 'import cnnx; print(cnnx.show_config()["cpu tier"])'
    slowest = TIERS[-1]
    if slowest in kernels.TIERS:
        status, out, _ = python(code, CNNX_SIMD=slowest, CNNX_BACKEND='cython')
        assert (status, out.split()[-1]) == (0, slowest)
    else:
        status, _, err = python(code, CNNX_SIMD='v2', CNNX_BACKEND='cython')
        assert status == 1
        assert 'BackendError: CNNX_SIMD=v2: this processor runs none of the tiers' in err
    status, _, err = python('import cnnx; cnnx.show_config()', CNNX_SIMD='v9')
    assert status == 1
    assert "CNNX_SIMD: expected one of v4, v3, v2, got 'v9'" in err


@needs_compiled_kernels
@pytest.mark.skipif(
    importlib.util.find_spec('cnnx._ext.portable.convolution') is not None, reason='one tier is for every processor'
)
def test_a_processor_older_than_all_tiers_gets_numpy_and_a_warning():
    code = """
import cnnx._ext.cpu
cnnx._ext.cpu.supported_tiers = lambda: ()
print(cnnx.kernels.current().name)
"""
    status, out, err = python(code)
    assert (status, out) == (0, 'numpy\n')
    assert 'RuntimeWarning: cnnx uses its NumPy kernels' in err
    assert 'this processor runs none of v4, v3, v2' in err
    status, _, err = python(code, CNNX_SIMD='v2', CNNX_BACKEND='cython')
    assert status == 1
    assert 'BackendError: CNNX_SIMD=v2: this processor runs none of the tiers' in err


@needs_compiled_kernels
@pytest.mark.skipif('portable' in TIERS, reason='one tier is for every processor')
def test_a_tier_that_was_not_compiled_is_skipped_and_named():
    there = TIERS[0]
    use = f"""
import sys, cnnx
from cnnx._ext import cpu
cpu.supported_tiers = lambda: ('v9', '{there}')
sys.modules['cnnx._ext.v9'] = None
"""
    status, out, err = python(use + 'print(cnnx.show_config()["why"])')
    assert (status, err) == (0, '')
    assert out.endswith('compiled kernels found, but not of v9, which this processor runs\n')
    use += f"sys.modules['cnnx._ext.{there}'] = None\n"
    status, out, err = python(use + 'print(cnnx.kernels.current().name)')
    assert (status, out) == (0, 'numpy\n')
    assert f'no kernels were compiled for this processor, which runs v9, {there}' in err
    assert 'Install a C compiler and install cnnx again' in err
    status, _, err = python(use + 'cnnx.kernels.current()', CNNX_SIMD=there, CNNX_BACKEND='cython')
    assert status == 1
    assert f'BackendError: CNNX_SIMD={there}: this tier was not compiled; CNNX_TIERS=all pip install -e .' in err


def test_a_backend_lasts_as_long_as_its_block_and_its_thread():
    outer = kernels.current()
    seen = []
    with cnnx.use_backend('numpy'):
        assert kernels.current().name == 'numpy'
        thread = threading.Thread(target=lambda: seen.append(kernels.current()))
        thread.start()
        thread.join()
    assert kernels.current() is outer
    assert seen == [outer]


def test_an_unknown_backend_is_refused():
    with pytest.raises(ValueError, match="use_backend: expected one of auto, cython, numpy, got 'gpu'"):
        cnnx.use_backend('gpu').__enter__()


@pytest.mark.parametrize('n', [0, -1, 2.5, '2', None, True, 257])
def test_a_wrong_number_of_threads_is_refused(n):
    before = cnnx.num_threads()
    with pytest.raises(ValueError, match='set_num_threads: expected'):
        cnnx.set_num_threads(n)
    assert cnnx.num_threads() == before


def test_a_number_of_threads_holds_inside_the_block_and_the_thread():
    before, seen = cnnx.num_threads(), []
    with kernels.use_threads(before + 1):
        thread = threading.Thread(target=lambda: seen.append(cnnx.num_threads()))
        thread.start()
        thread.join()
        with kernels.use_threads(before + 2), kernels.use_threads(None):
            assert cnnx.num_threads() == before + 2
        assert cnnx.num_threads() == before + 1
    assert cnnx.num_threads() == before
    assert seen == [before]
    with pytest.raises(ValueError, match='use_threads: expected at most 256 threads, got 257'):
        kernels.use_threads(257).__enter__()


def test_show_config_prints_what_it_returns(capsys):
    config = cnnx.show_config()
    out = capsys.readouterr().out
    assert config.keys() == {'cnnx', 'backend', 'why', 'cpu tier', 'threads', 'compiler', 'numpy', 'python'}
    for value in config.values():
        assert str(value) in out
    assert repr(config) == f'<Configuration of cnnx {cnnx.__version__}>'  # it is printed already


@needs_compiled_kernels
@pytest.mark.parametrize(('given', 'spins'), [({}, kernels.SPIN_COUNT), ({'GOMP_SPINCOUNT': '7'}, '7')])
def test_waiting_threads_soon_sleep(given, spins):
    code = 'import os, cnnx; cnnx.kernels.current(); print(os.environ.get("GOMP_SPINCOUNT"))'
    _, out, err = python(code, OMP_DISPLAY_ENV='verbose', **given)
    if 'GOMP_SPINCOUNT' not in err:
        pytest.skip("this OpenMP is not gcc's")
    assert f"GOMP_SPINCOUNT = '{spins}'" in err
    assert out.strip() == str(given.get('GOMP_SPINCOUNT'))


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='this system has no fork')
@needs_compiled_kernels
def test_a_forked_child_does_not_hang():
    code = """
import os, warnings, numpy as np, cnnx
warnings.simplefilter('ignore', DeprecationWarning)  # Python 3.12 and newer advise against such a fork
cnnx.set_num_threads(2)
layer = cnnx.Dense(500, 500)
x = np.ones((64, 500), np.float32)
expected = layer.forward(x)
child = os.fork()
if child == 0:
    os._exit(0 if (layer.forward(x) == expected).all() and cnnx.num_threads() == 1 else 3)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), cnnx.num_threads())
"""
    assert python(code) == (0, '0 2\n', '')
