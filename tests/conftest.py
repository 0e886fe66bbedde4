"""Fixtures: backends, handlers of signals, mirrors."""

import contextlib
import gc
import os
import signal
import sys

import pytest
from hypothesis import settings
from mirrors import Mirror

import cnnx
from cnnx.training.signals import DEFAULTS

settings.register_profile('cnnx', deadline=None, derandomize=True, print_blob=True, max_examples=20)
settings.register_profile('thorough', deadline=None, max_examples=2000)
settings.register_profile('torture', deadline=None, max_examples=1000, print_blob=True)
settings.load_profile(os.environ.get('CNNX_HYPOTHESIS', 'cnnx'))

# Processes of pytest -n share the processors: threads of NumPy would wait for each other.
os.environ.setdefault('OPENBLAS_NUM_THREADS', '1')
# Tests start Python a few hundred times: each would compile all of cnnx again.
os.environ.pop('PYTHONDONTWRITEBYTECODE', None)
sys.dont_write_bytecode = False


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Let a process run what stands together, as long as it has any: it imports and prepares less."""
    from xdist.scheduler import WorkStealingScheduling

    return WorkStealingScheduling(config, log) if config.option.dist == 'load' else None


def pytest_collection_finish():
    """Spare each later collection of garbage the thousands of tests: it would take half a second."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope='session', autouse=True)
def _no_waiting_for_the_disk():
    """Let files be written without a wait: tests of what is synced watch the call, and no test cuts the power."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, 'fsync', lambda descriptor: None)
        yield


@pytest.fixture
def compiled_kernels():
    """Run a test on the compiled kernels, or skip it where there are none."""
    try:
        context = cnnx.use_backend('cython')
        context.__enter__()
    except cnnx.BackendError as error:
        pytest.skip(f'the compiled kernels are not there: {error}')
    yield
    context.__exit__(None, None, None)


@pytest.fixture
def threads(monkeypatch):
    """Let the test set the number of threads, which then share small work too."""
    monkeypatch.setattr(cnnx.kernels, 'SERIAL_WORK', 0)
    monkeypatch.setattr(cnnx.kernels, 'SERIAL_STEP_WORK', 0)
    monkeypatch.setattr(cnnx.kernels._threads, 'wanted', None)
    return cnnx.set_num_threads


@pytest.fixture(params=['cython', 'numpy'])
def each_backend(request):
    """Run a test on each backend that is there."""
    if request.param == 'cython':
        request.getfixturevalue('compiled_kernels')
    with cnnx.use_backend(request.param):
        yield


@pytest.fixture
def default_handlers():
    """Run a test with Python's own handlers of signals: a shell may have some ignored."""
    before = {number: signal.signal(number, default) for number, default in DEFAULTS.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def serve():
    """Return a function that starts a mirror with some files; all are stopped at the end."""
    with contextlib.ExitStack() as stack:

        def start(files):
            mirror = Mirror(files)
            stack.callback(mirror.stop)
            return mirror

        yield start
