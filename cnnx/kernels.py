"""Backends: compiled (Cython) or NumPy kernels, their SIMD tier, and the number of threads.

Layers call `kernels.current().relu_forward(...)`: a function of cnnx/_numpy/activations.py, or the compiled one of the
same name in cnnx/_ext/activations.pyx. All kernels come from the same backend. Environment variables, read at first
use:

    CNNX_BACKEND      auto (the default: compiled if possible), cython or numpy
    CNNX_SIMD         v2, v3 or v4: the SIMD tier of the compiled kernels; the default is the fastest that runs
    CNNX_NUM_THREADS  the number of threads of the compiled kernels; the default is OMP_NUM_THREADS, or one for each
                      processor that the process, or its container, may use
"""

import contextlib
import contextvars
import functools
import importlib
import os
import pkgutil
import platform
import sys
import warnings
from types import SimpleNamespace

import numpy as np

from cnnx import _numpy
from cnnx._util.processors import available_processors
from cnnx._util.validation import positive_int
from cnnx._version import __version__

BACKENDS = ('auto', 'cython', 'numpy')
TIERS = ('v4', 'v3', 'v2')
# Modules that are compiled once, for all tiers.
COMPILED_ONCE = ('array_table', 'program')
MAX_THREADS = 256
# How often a waiting OpenMP thread checks for work before it sleeps. The default of gcc's OpenMP is 300,000: while
# another process uses a core, the threads of a small network would spend most of their time waiting in this loop.
SPIN_COUNT = '1000'
# Below this many multiply-adds, waking a second thread costs more than it saves: for a single kernel, and for a step
# that runs in blocks, which does more of them in the same time.
SERIAL_WORK = 2_000_000
SERIAL_STEP_WORK = 8_000_000
# NumPy warns of overflow, the compiled kernels do not: both return inf or NaN, and training checks for these.
QUIET = np.errstate(over='ignore', invalid='ignore')

_chosen = contextvars.ContextVar('cnnx backend', default=None)
_threads_here = contextvars.ContextVar('cnnx threads', default=None)
_threads = SimpleNamespace(wanted=None, woken=False, forked=False)


class BackendError(ImportError):
    """The compiled kernels were requested and cannot be used."""


def current():
    """Return the backend in use: a namespace of kernels, with its `name`, `tier`, and the `reason` it was chosen."""
    return _chosen.get() or _default()


@contextlib.contextmanager
def use_backend(name):
    """Use another backend inside a `with` block, in this thread.

    Args:
        name: 'cython' for the compiled kernels, 'numpy' for the NumPy ones, 'auto' for compiled if possible.

    Raises:
        ValueError: the name is none of these.
        BackendError: 'cython' was requested and cannot be used.
    """
    token = _chosen.set(_load(_checked(name, 'use_backend')))
    try:
        yield
    finally:
        _chosen.reset(token)


def num_threads():
    """Return how many threads the compiled kernels use."""
    if _threads.forked:
        return 1
    if (here := _threads_here.get()) is not None:
        return here
    if _threads.wanted is None:
        value = os.environ.get('CNNX_NUM_THREADS')
        if value:
            set_num_threads(int(value) if value.isdecimal() else value, 'CNNX_NUM_THREADS')
        else:
            openmp = os.environ.get('OMP_NUM_THREADS', '').partition(',')[0].strip()  # one number a level of nesting
            wanted = int(openmp) if openmp.isdecimal() else 0
            _threads.wanted = min(wanted or available_processors(), MAX_THREADS)
    return _threads.wanted


def set_num_threads(n, name='set_num_threads'):
    """Set the number of threads that the compiled kernels use, 1 to 256. Results are the same to the bit for all n.

    A process that was forked from one whose kernels used several threads uses one only.

    Raises:
        ValueError: n is not a whole number from 1 to 256.
    """
    _threads.wanted = _checked_threads(n, name)


@contextlib.contextmanager
def use_threads(n, name='use_threads'):
    """Use so many threads inside a `with` block, in this Python thread; None changes nothing.

    Raises:
        ValueError: n is neither None nor a whole number from 1 to 256.
    """
    token = _threads_here.set(_threads_here.get() if n is None else _checked_threads(n, name))
    try:
        yield
    finally:
        _threads_here.reset(token)


def _checked_threads(n, name):
    if positive_int(n, name) > MAX_THREADS:
        raise ValueError(f'{name}: expected at most {MAX_THREADS} threads, got {n}')
    return int(n)


def threads_for(multiply_adds, least=None):
    """Return the number of threads for so many multiply-adds: one if they are less than `least`, or SERIAL_WORK."""
    threads = num_threads() if multiply_adds >= (SERIAL_WORK if least is None else least) else 1
    _threads.woken = _threads.woken or threads > 1
    return threads


class Configuration(dict):
    """What `show_config` has printed, by name."""

    def __repr__(self):
        return f'<Configuration of cnnx {self["cnnx"]}>'


def show_config(file=None):
    """Print versions, backend, SIMD tier and threads, for a bug report, and return them as a dict."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        backend = current()
    config = {
        'cnnx': __version__,
        'backend': backend.name,
        'why': backend.reason,
        'cpu tier': backend.tier,
        'threads': num_threads() if backend.openmp else 1,
        'compiler': backend.compiler,
        'numpy': np.__version__,
        'python': f'{platform.python_version()} on {platform.system()} {platform.machine()}',
    }
    for key, value in config.items():
        print(f'{key + ":":10} {value}', file=file or sys.stdout)
    return Configuration(config)


@functools.cache
def _default():
    return _load(_checked(os.environ.get('CNNX_BACKEND', 'auto'), 'CNNX_BACKEND'))


def _checked(name, where):
    if name not in BACKENDS:
        raise ValueError(f'{where}: expected one of {", ".join(BACKENDS)}, got {name!r}')
    return name


@functools.cache
def _load(name):
    if name == 'numpy':
        return _backend('numpy', 'cnnx._numpy', reason='requested')
    try:
        return _load_compiled()
    except BackendError as error:
        if name == 'cython':
            raise
        warnings.warn(
            f'cnnx uses its NumPy kernels, which are several times slower: {error}. '
            'Install a C compiler and install cnnx again; CNNX_REQUIRE_EXT=1 then shows what fails. '
            'CNNX_BACKEND=numpy chooses the NumPy kernels without this warning',
            RuntimeWarning,
            stacklevel=2,
        )
        return _backend('numpy', 'cnnx._numpy', reason=str(error))


def _load_compiled():
    """Import the compiled kernels of the fastest tier that runs here, or of the one that CNNX_SIMD names."""
    try:
        cpu = importlib.import_module('cnnx._ext.cpu')
    except ImportError as error:
        raise BackendError(f'the compiled kernels are missing ({error})') from error
    wanted = os.environ.get('CNNX_SIMD', '')
    if wanted and wanted not in TIERS:
        raise ValueError(f'CNNX_SIMD: expected one of {", ".join(TIERS)}, got {wanted!r}')
    supported = cpu.supported_tiers()
    if wanted and wanted not in supported:
        raise BackendError(f'CNNX_SIMD={wanted}: this processor runs {", ".join(supported) or "none of the tiers"}')
    failures = []
    for tier in (wanted,) if wanted else (*supported, 'portable'):
        reason = f'CNNX_SIMD={wanted}' if wanted else 'compiled kernels found'
        if failures:
            reason += f', but not of {", ".join(supported[: len(failures)])}, which this processor runs'
        try:
            with _spin_count():
                return _backend('cython', f'cnnx._ext.{tier}', reason=reason, tier=tier, **cpu.build_info())
        except ImportError as error:
            failures.append(str(error))
    if wanted:
        what = f'CNNX_SIMD={wanted}: this tier was not compiled; CNNX_TIERS=all pip install -e . compiles all of them'
    elif supported:
        what = f'no kernels were compiled for this processor, which runs {", ".join(supported)}'
    else:
        what = f'this processor runs none of {", ".join(TIERS)}'
    raise BackendError(f'{what} ({"; ".join(failures)})')


@contextlib.contextmanager
def _spin_count():
    """Set OpenMP's spin count while its library is loaded, unless the user has set it."""
    variables = ('GOMP_SPINCOUNT', 'OMP_WAIT_POLICY')
    if any(variable in os.environ for variable in variables):
        yield
        return
    os.environ['GOMP_SPINCOUNT'] = SPIN_COUNT
    try:
        yield
    finally:
        del os.environ['GOMP_SPINCOUNT']


def _backend(name, package, *, reason, tier=None, compiler=None, openmp=False):
    """Return a namespace of the kernels of a package: functions whose last parameter is `num_threads`, and classes."""
    kernels = {}
    for module_name in _module_names():
        compiled_once = name == 'cython' and module_name in COMPILED_ONCE
        module = importlib.import_module(f'{"cnnx._ext" if compiled_once else package}.{module_name}')
        kernels |= {key: value for key, value in vars(module).items() if _is_kernel(value, module)}
    if name == 'numpy':
        kernels = {key: value if isinstance(value, type) else QUIET(value) for key, value in kernels.items()}
    return SimpleNamespace(name=name, reason=reason, tier=tier, compiler=compiler, openmp=openmp, **kernels)


def _module_names():
    return [module.name for module in pkgutil.iter_modules(_numpy.__path__)]


def _is_kernel(value, module):
    if isinstance(value, type):
        return value.__module__ == module.__name__
    code = getattr(value, '__code__', None)
    return code is not None and code.co_varnames[: code.co_argcount][-1:] == ('num_threads',)


def _after_fork_in_child():
    # The threads of OpenMP exist in the parent only; the child would wait for them forever.
    _threads.forked = _threads.woken


if hasattr(os, 'register_at_fork'):
    os.register_at_fork(after_in_child=_after_fork_in_child)
