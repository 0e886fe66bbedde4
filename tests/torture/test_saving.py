"""Saves whose every system call fails, and saves that a power cut ends at every point."""

import errno
import itertools
import os
import random
from pathlib import Path

import numpy as np
import pytest

from cnnx import checkpoint
from cnnx.checkpoint import atomic

pytestmark = pytest.mark.skipif(os.name != 'posix', reason='follows the system calls of POSIX')
OLD = {'weights_0': np.arange(2000.0), 'bias_0': np.zeros(3)}
NEW = {'weights_0': np.arange(2000.0) + 1, 'bias_0': np.ones(3)}
CALLS = ('open', 'write', 'fsync', 'replace', 'close')
ERRORS = {
    'EIO': OSError(errno.EIO, 'Input/output error'),
    'ENOSPC': OSError(errno.ENOSPC, 'No space left on device'),
    'EINTR': InterruptedError(errno.EINTR, 'Interrupted system call'),
    'EACCES': PermissionError(errno.EACCES, 'Permission denied'),
}


def describe(epoch):
    return {'epoch': epoch, 'run': {'id': 'a', 'started': 1.0, 'saved': epoch}}


def save(folder, arrays, epoch):
    path = checkpoint.checkpoint_path(folder, 'model', epoch)
    checkpoint.write(path, arrays, describe(epoch))
    return path


def newest(folder):
    return checkpoint.read_newest(folder, 'model')


def same(arrays, expected):
    return {name: array.tobytes() for name, array in arrays.items()} == {
        name: array.tobytes() for name, array in expected.items()
    }


class Faults:
    """os, of which the Nth call of one kind fails, before or after it took effect."""

    def __init__(self, monkeypatch, name, number, error, short=False):
        self.calls = 0
        real = getattr(os, name)

        def call(*arguments, **options):
            self.calls += 1
            if self.calls == number:
                if short:
                    descriptor, content = arguments
                    return real(descriptor, content[: max(1, len(content) // 3)])
                if name == 'close':
                    real(*arguments)
                raise error
            return real(*arguments, **options)

        monkeypatch.setattr(atomic.os, name, call)


@pytest.mark.parametrize('same_name', [True, False], ids=['over the last file', 'beside the last file'])
@pytest.mark.parametrize('call', CALLS)
@pytest.mark.parametrize('error', ERRORS)
def test_every_call_that_fails_leaves_the_checkpoint_before(tmp_path, monkeypatch, call, error, same_name):
    monkeypatch.setattr(atomic, 'CHUNK', 4096)
    number = 0
    while True:
        number += 1
        for path in tmp_path.iterdir():
            path.unlink()
        save(tmp_path, OLD, 1)
        with monkeypatch.context() as patch:
            faults = Faults(patch, call, number, ERRORS[error])
            try:
                path = save(tmp_path, NEW, 1 if same_name else 2)
            except OSError as caught:
                assert caught.errno == ERRORS[error].errno
                assert caught.filename == str(checkpoint.checkpoint_path(tmp_path, 'model', 1 if same_name else 2))
                path = None
        found = newest(tmp_path)
        assert found.damage == []
        assert same(found.arrays, NEW) or (path is None and same(found.arrays, OLD))
        assert list(tmp_path.glob('.*')) == []
        if faults.calls < number:
            break
    assert number > 1


@pytest.mark.parametrize('number', range(1, 6))
def test_a_short_write_is_gone_on_with(tmp_path, monkeypatch, number):
    monkeypatch.setattr(atomic, 'CHUNK', 4096)
    with monkeypatch.context() as patch:
        Faults(patch, 'write', number, None, short=True)
        save(tmp_path, NEW, 1)
    assert same(newest(tmp_path).arrays, NEW)


# A power cut


class Recorder:
    """os, whose calls to write a file are done and noted."""

    def __init__(self, monkeypatch):
        self.log, self.names = [], {}
        real = {name: getattr(os, name) for name in CALLS}

        def opened(path, flags, *mode):
            descriptor = real['open'](path, flags, *mode)
            self.names[descriptor] = Path(path).name
            if flags & os.O_CREAT:
                self.log.append(('create', Path(path).name))
            return descriptor

        def written(descriptor, content):
            count = real['write'](descriptor, content)
            self.log.append(('write', self.names[descriptor], bytes(content[:count])))
            return count

        def synced(descriptor):
            real['fsync'](descriptor)
            self.log.append(('sync', self.names[descriptor]))

        def replaced(source, target):
            real['replace'](source, target)
            self.log.append(('rename', Path(source).name, Path(target).name))

        for name, function in (('open', opened), ('write', written), ('fsync', synced), ('replace', replaced)):
            monkeypatch.setattr(atomic.os, name, function)


def crash_states(log, before, moments):
    """Yield what a folder may hold, {name: bytes}, if the power is cut after each call.

    What was written and not flushed may be on the disk, may be missing, or zeros; a rename that the folder was not
    flushed after may have happened or not.
    """
    for end in range(len(log) + 1):
        unsynced = [i for i, step in enumerate(log[:end]) if step[0] == 'write' and ('sync', step[1]) not in log[i:end]]
        renames = [i for i, step in enumerate(log[:end]) if step[0] == 'rename']
        unsure = [i for i in renames if not any(step[0] == 'sync' and '.npz' not in step[1] for step in log[i:end])]
        fates = [dict.fromkeys(unsynced, fate) for fate in ('kept', 'dropped', 'zeroed')]
        fates += [{i: moments.choice(('kept', 'dropped', 'zeroed')) for i in unsynced} for _ in range(40)]
        for fate, renamed in itertools.product(fates, (True, False) if unsure else (True,)):
            yield replay(log[:end], before, fate, set() if renamed else set(unsure))


def replay(log, before, fate, undone):
    state = dict(before)
    for i, step in enumerate(log):
        if step[0] == 'create':
            state[step[1]] = b''
        elif step[0] == 'write':
            content = {'kept': step[2], 'dropped': b'', 'zeroed': bytes(len(step[2]))}[fate.get(i, 'kept')]
            state[step[1]] += content
        elif step[0] == 'rename' and i not in undone:
            state[step[2]] = state.pop(step[1])
    return state


@pytest.mark.parametrize('same_name', [True, False], ids=['over the last file', 'beside the last file'])
def test_a_power_cut_leaves_the_old_checkpoint_or_the_new_one(tmp_path, monkeypatch, same_name):
    monkeypatch.setattr(atomic, 'CHUNK', 1024)
    saving, crashed = tmp_path / 'saving', tmp_path / 'crashed'
    saving.mkdir()
    crashed.mkdir()
    save(saving, OLD, 1)
    before = {path.name: path.read_bytes() for path in saving.iterdir()}
    with monkeypatch.context() as patch:
        recorder = Recorder(patch)
        save(saving, NEW, 1 if same_name else 2)
    states = {tuple(sorted(state.items())) for state in crash_states(recorder.log, before, random.Random(0))}
    outcomes = {'old': 0, 'new': 0}
    for state in states:
        for path in crashed.iterdir():
            path.unlink()
        for name, content in state:
            (crashed / name).write_bytes(content)
        found = newest(crashed)
        assert found.damage == []
        outcomes['new' if same(found.arrays, NEW) else 'old'] += 1
        assert same(found.arrays, NEW) or same(found.arrays, OLD)
    print(f'\n{len(states)} crash states: {outcomes["old"]} old, {outcomes["new"]} new, 0 mixtures')
    assert len(states) >= 500
    assert min(outcomes.values()) > 0
