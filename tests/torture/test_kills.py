"""Runs that are killed at random moments, again and again, and end with the bits of one that was not."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from torture import run_forever

from cnnx import checkpoint
from cnnx.checkpoint import state

# How a process ends that was stopped while it trained, or before or after that.
STOPPED = {1, -signal.SIGINT, 143, -signal.SIGTERM}
SCRIPT = Path(__file__).with_name('run_forever.py')
pytestmark = pytest.mark.skipif(os.name != 'posix', reason='sends POSIX signals')


def environment():
    return {**os.environ, 'PYTHONPATH': str(Path(checkpoint.__file__).parents[2]), 'OMP_NUM_THREADS': '1'}


def start(folder):
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), str(folder)],
        env=environment(),
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def saved(folder):
    return {path.name for path in folder.glob('*.npz')}


def interrupt(folder, number, moments):
    """Start the run and send it a signal a random time after its first checkpoint; return how it ended.

    A third of the moments are before that: while Python starts, and while the run resumes.
    """
    process = start(folder)
    try:
        if moments.random() < 1 / 3:
            time.sleep(moments.uniform(0, 0.4))
        else:
            before, deadline = saved(folder), time.monotonic() + 20
            while saved(folder) == before and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.001)
            time.sleep(moments.uniform(0, 0.05))
        process.send_signal(number)
        began = time.monotonic()
        _, errors = process.communicate(timeout=20)
        return process.returncode, time.monotonic() - began, errors.decode()
    finally:
        process.kill()
        process.wait()


def torture(folder, expected, kills, numbers, statuses):
    """Interrupt the run so often, then let it end; return the number of restarts and the slowest end of one."""
    moments, slowest, interrupted, finished = random.Random(0), 0.0, 0, 0
    while interrupted < kills:
        number = moments.choice(numbers)
        status, seconds, errors = interrupt(folder, number, moments)
        if status == 0:
            # It was done before the signal came: restart.
            check(folder, expected)
            for path in folder.glob('*'):
                path.unlink()
            finished += 1
            continue
        assert status in statuses, errors
        interrupted += 1
        slowest = max(slowest, seconds)
        if folder.exists() and saved(folder):
            found = checkpoint.read_newest(folder, 'model')
            assert found.damage == []
    process = start(folder)
    assert process.wait(60) == 0
    process.stderr.close()
    check(folder, expected)
    return finished, slowest


def check(folder, expected):
    """Hold the end of a run to the network and history of one that nothing interrupted."""
    path = checkpoint.checkpoint_path(folder, 'model', run_forever.EPOCHS)
    arrays, description = checkpoint.read(path)
    net, history = expected
    assert {name: array.tobytes() for name, array in arrays.items()} == {
        name: array.tobytes() for name, array in state.arrays(net).items()
    }
    assert description['history'] == history.history
    assert [path.name for path in folder.glob('*.tmp')] == []


@pytest.fixture(scope='module')
def expected(tmp_path_factory):
    return run_forever.train(tmp_path_factory.mktemp('whole'))


@pytest.mark.slow
def test_a_few_kills(tmp_path, expected):
    torture(tmp_path, expected, 3, [signal.SIGKILL], {-signal.SIGKILL})


@pytest.mark.slow
def test_a_few_signals(tmp_path, expected):
    _, slowest = torture(tmp_path, expected, 4, [signal.SIGINT, signal.SIGTERM], STOPPED)
    assert slowest < 2


@pytest.mark.torture
def test_500_kills(tmp_path, expected):
    finished, _ = torture(tmp_path, expected, 500, [signal.SIGKILL], {-signal.SIGKILL})
    print(f'\n500 SIGKILLs over {finished + 1} runs: 0 unreadable folders, {finished + 1} ends with equal bits')


@pytest.mark.torture
def test_200_signals(tmp_path, expected):
    finished, slowest = torture(tmp_path, expected, 200, [signal.SIGINT, signal.SIGTERM], STOPPED)
    assert slowest < 2
    print(
        f'\n200 SIGINTs and SIGTERMs over {finished + 1} runs: all resumed, {finished + 1} ends with equal bits, '
        f'the slowest ended after {slowest:.2f} s'
    )
