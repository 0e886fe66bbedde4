"""The checkpoints of a run in their folder: which is the newest, which are removed."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from cnnx import checkpoint
from cnnx.checkpoint import CheckpointError, RunFiles


def save(folder, prefix, epoch, started=100.0):
    path = checkpoint.checkpoint_path(folder, prefix, epoch)
    run = {'id': f'run of {started}', 'started': started, 'saved': epoch}
    checkpoint.write(path, {'weights_0': np.full(3, epoch + started)}, {'epoch': epoch, 'run': run})
    return path


def assert_newest(folder, prefix, epoch, started=100.0):
    path, arrays, description, damage, _ = checkpoint.read_newest(folder, prefix)
    assert path == folder / f'{prefix}_epoch_{epoch}.npz'
    assert arrays['weights_0'].tolist() == [epoch + started] * 3
    assert (description['epoch'], description['run']['started']) == (epoch, started)
    return damage


def test_name_of_a_checkpoint(tmp_path):
    assert checkpoint.checkpoint_path(tmp_path, 'model_subset', 10) == tmp_path / 'model_subset_epoch_10.npz'


@pytest.mark.parametrize('epochs', [[1], [9, 10], [10, 9], [1, 2, 3], [99, 100, 20]], ids=str)
def test_newest_by_number(tmp_path, epochs):
    for epoch in epochs:
        save(tmp_path, 'model', epoch)
    assert assert_newest(tmp_path, 'model', max(epochs)) == []


def test_none(tmp_path):
    assert checkpoint.read_newest(tmp_path, 'model') is None
    assert checkpoint.read_newest(tmp_path / 'nowhere', 'model') is None


@pytest.mark.parametrize('prefix', ['model', 'model_full', 'model_full_epoch_1', 'mod*', 'mod[e]l', 'a.b', '.hidden'])
def test_prefixes_that_begin_alike_stay_apart(tmp_path, prefix):
    for other in ('model', 'model_full', 'model_full_epoch_1', 'mod*', 'mod[e]l', 'a.b', '.hidden'):
        save(tmp_path, other, 3 if other == prefix else 50)
    assert assert_newest(tmp_path, prefix, 3) == []


def test_names_that_are_no_checkpoints_do_not_count(tmp_path):
    save(tmp_path, 'model', 2)
    for name in (
        'epoch_7',
        '_epoch_7',
        'model_epoch_',
        'model_epoch_7a',
        'model_epoch_-7',
        'model_epoch_\N{DEVANAGARI DIGIT SEVEN}',
        'model',
    ):
        (tmp_path / f'{name}.npz').write_bytes(b'')
    for name in ('model_epoch_8.npz.tmp', '.model_epoch_8.npz.123.tmp', 'model_epoch_8.txt'):
        (tmp_path / name).write_bytes(b'')
    assert assert_newest(tmp_path, 'model', 2) == []


def test_a_run_that_restarts_wins_over_higher_numbers_of_an_older_run(tmp_path):
    for epoch in range(1, 11):
        save(tmp_path, 'model', epoch, started=100.0)
    for epoch in (1, 2):
        save(tmp_path, 'model', epoch, started=200.0)
    assert assert_newest(tmp_path, 'model', 2, started=200.0) == []


@pytest.mark.parametrize('damage', [lambda data: b'', lambda data: data[:200], lambda data: bytes(len(data))])
def test_a_damaged_newest_is_skipped_with_the_reason(tmp_path, damage):
    save(tmp_path, 'model', 9)
    newest = save(tmp_path, 'model', 10)
    newest.write_bytes(damage(newest.read_bytes()))
    (line,) = assert_newest(tmp_path, 'model', 9)
    assert str(newest) in line
    assert len(line) > len(str(newest)) + 5
    assert '\n' not in line


def test_damage_outside_the_description_is_skipped_as_well(tmp_path):
    save(tmp_path, 'model', 9)
    newest = save(tmp_path, 'model', 10)
    content = newest.read_bytes()
    newest.write_bytes(content.replace(np.full(3, 110.0).tobytes(), bytes(24), 1))
    assert checkpoint.read_description(newest)['epoch'] == 10
    (line,) = assert_newest(tmp_path, 'model', 9)
    assert str(newest) in line


@pytest.mark.parametrize(
    'description',
    [
        {},
        {'epoch': 10},
        {'run': None},
        {'run': {}},
        {'run': 7},
        {'run': {'started': 'yesterday'}},
        {'run': {'started': 1.0}},
        {'run': {'id': 'a', 'started': 1.0, 'saved': float('inf')}},
        {'run': {'id': 'a', 'started': 10**400, 'saved': 1}},
    ],
    ids=str,
)
def test_files_that_are_no_checkpoints_of_a_run_are_skipped(tmp_path, description):
    save(tmp_path, 'model', 9)
    other = tmp_path / 'model_epoch_10.npz'
    checkpoint.write(other, {'weights_0': np.ones(3)}, description)
    (line,) = assert_newest(tmp_path, 'model', 9)
    assert str(other) in line


def test_a_folder_named_like_a_checkpoint_is_skipped(tmp_path):
    save(tmp_path, 'model', 9)
    (tmp_path / 'model_epoch_10.npz').mkdir()
    assert_newest(tmp_path, 'model', 9)


def test_all_damaged(tmp_path):
    paths = [save(tmp_path, 'model', epoch) for epoch in (1, 2)]
    for path in paths:
        path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(CheckpointError) as caught:
        checkpoint.read_newest(tmp_path, 'model')
    for path in paths:
        assert str(path) in str(caught.value)
    assert 'without resuming' in str(caught.value)


def test_what_files_say_counts_and_not_their_names(tmp_path):
    for epoch in (1, 2, 3):
        path = save(tmp_path, 'model', epoch)
    path.with_name('model_epoch_50.npz').write_bytes((tmp_path / 'model_epoch_2.npz').read_bytes())
    assert_newest(tmp_path, 'model', 3)


def test_a_folder_that_cannot_be_listed(tmp_path, monkeypatch):
    def refuse(folder):
        raise PermissionError(errno.EACCES, 'Permission denied', str(folder))

    monkeypatch.setattr(os, 'scandir', refuse)
    with pytest.raises(PermissionError):
        checkpoint.read_newest(tmp_path, 'model')


def test_reading_changes_nothing(tmp_path):
    save(tmp_path, 'model', 1)
    save(tmp_path, 'model', 2).write_bytes(b'damaged')
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert_newest(tmp_path, 'model', 1)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


# Prefixes


@pytest.mark.parametrize('prefix', ['', 'a/b', '/', 'a/', '../a', 'a\0b', None, 7, b'model', Path('model')], ids=repr)
def test_bad_prefixes(prefix):
    with pytest.raises(ValueError, match='checkpoint_prefix') as caught:
        checkpoint.check_prefix(prefix)
    assert repr(prefix) in str(caught.value)


@pytest.mark.parametrize('prefix', ['model', 'model_full', 'a b', 'ä', '.hidden', 'a.npz', '5'])
def test_good_prefixes(tmp_path, prefix):
    assert checkpoint.check_prefix(prefix) == prefix
    save(tmp_path, prefix, 4)
    assert_newest(tmp_path, prefix, 4)


# Which are removed


def epochs(folder):
    return sorted(path.name for path in folder.glob('*.npz'))


def save_within(folder, epoch, batch):
    path = checkpoint.checkpoint_path(folder, 'model', epoch, batch)
    run = {'id': 'run of 100.0', 'started': 100.0, 'saved': epoch}
    checkpoint.write(path, {'weights_0': np.zeros(3)}, {'run': run})
    return path


@pytest.mark.parametrize(('keep', 'left'), [(1, [3]), (2, [2, 3]), (5, [1, 2, 3]), (None, [1, 2, 3])])
def test_the_last_epochs_are_kept(tmp_path, keep, left):
    files = RunFiles(keep)
    for epoch in (1, 2, 3):
        files.add(save(tmp_path, 'model', epoch))
    assert epochs(tmp_path) == [f'model_epoch_{epoch}.npz' for epoch in left]


def test_a_checkpoint_within_an_epoch_goes_with_the_next_one(tmp_path):
    files = RunFiles(None)
    for batch in (2, 4):
        files.add(save_within(tmp_path, 1, batch))
        assert epochs(tmp_path) == [f'model_epoch_1_batch_{batch}.npz']
    files.add(save(tmp_path, 'model', 1))
    assert epochs(tmp_path) == ['model_epoch_1.npz']


def test_a_checkpoint_that_is_written_again_is_the_newest(tmp_path):
    files = RunFiles(2)
    for epoch in (1, 2, 1):
        files.add(save(tmp_path, 'model', epoch))
    assert epochs(tmp_path) == ['model_epoch_1.npz', 'model_epoch_2.npz']
    files.add(save(tmp_path, 'model', 3))
    assert epochs(tmp_path) == ['model_epoch_1.npz', 'model_epoch_3.npz']


def test_a_resumed_run_keeps_whole_files_and_leaves_those_of_other_runs(tmp_path):
    for epoch in (1, 2, 3, 4):
        save(tmp_path, 'model', epoch)
    other = save(tmp_path, 'model', 9, started=50.0)
    damaged = tmp_path / 'model_epoch_3.npz'
    damaged.write_bytes(damaged.read_bytes().replace(np.full(3, 103.0).tobytes(), bytes(24), 1))
    files = RunFiles(3)
    files.restore(checkpoint.read_newest(tmp_path, 'model'))
    files.add(save(tmp_path, 'model', 5))
    assert epochs(tmp_path) == [f'model_epoch_{epoch}.npz' for epoch in (2, 3, 4, 5, 9)]
    files.add(save(tmp_path, 'model', 6))
    assert epochs(tmp_path) == [f'model_epoch_{epoch}.npz' for epoch in (4, 5, 6, 9)]
    assert other.exists()


def test_a_file_that_cannot_be_removed_is_left_for_the_next_time(tmp_path, monkeypatch):
    def refuse(path, missing_ok=False):
        raise PermissionError(errno.EACCES, 'Permission denied', str(path))

    files = RunFiles(1)
    files.add(save(tmp_path, 'model', 1))
    with monkeypatch.context() as patch:
        patch.setattr(Path, 'unlink', refuse)
        files.add(save(tmp_path, 'model', 2))
    assert epochs(tmp_path) == ['model_epoch_1.npz', 'model_epoch_2.npz']
    files.add(save(tmp_path, 'model', 3))
    assert epochs(tmp_path) == ['model_epoch_3.npz']


def test_thousands_of_checkpoints_are_read_once(tmp_path, monkeypatch):
    for epoch in range(1, 301):
        save(tmp_path, 'model', epoch)
    reads = []
    for name in ('read', 'read_description'):
        real = getattr(checkpoint.folder, name)
        monkeypatch.setattr(
            checkpoint.folder, name, lambda path, name=name, real=real: (reads.append((name, path)), real(path))[1]
        )
    files = RunFiles(200)
    files.restore(checkpoint.read_newest(tmp_path, 'model'))
    for epoch in range(301, 311):
        files.add(save(tmp_path, 'model', epoch))
    assert len(epochs(tmp_path)) == 200
    assert len(reads) == len(set(reads)) == 300 + 199
