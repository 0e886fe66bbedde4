"""Atomic writes: whatever fails, the file from before stays, and nothing else is left."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

import cnnx
from cnnx.checkpoint import write_whole

OLD, NEW = b'from before' * 1000, b'new' * 5000
POSIX = pytest.mark.skipif(os.name != 'posix', reason='follows the system calls of POSIX')


def files_in(folder):
    return sorted(path.name for path in folder.iterdir())


def fail(error):
    def failing(*arguments, **options):
        raise error

    return failing


def fail_midway(error, write=os.write):
    def failing(descriptor, content):
        write(descriptor, b'new and no more')
        raise error

    return failing


@pytest.fixture
def path(tmp_path):
    return tmp_path / 'model.npz'


@pytest.mark.parametrize('name', ['model', 'model.npz.tmp', 'MODEL.NPZ', 'model.1'])
def test_the_name_is_used_as_it_is(tmp_path, name):
    write_whole(tmp_path / name, NEW)
    assert files_in(tmp_path) == [name]
    assert (tmp_path / name).read_bytes() == NEW


def test_name_in_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_whole('model.npz', NEW)
    assert (tmp_path / 'model.npz').read_bytes() == NEW


def test_an_older_file_is_replaced(path):
    path.write_bytes(OLD)
    write_whole(path, NEW)
    assert path.read_bytes() == NEW


ERRORS = [OSError(errno.ENOSPC, 'No space left on device'), ValueError('bad'), MemoryError(), KeyboardInterrupt()]


@pytest.mark.parametrize('error', ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize('step', ['write', 'fsync', 'replace'])
@pytest.mark.parametrize('before', [True, False], ids=['over a file', 'no file'])
def test_an_error_leaves_the_file_from_before_and_nothing_else(path, monkeypatch, step, error, before):
    if before:
        path.write_bytes(OLD)
    monkeypatch.setattr(os, step, fail_midway(error) if step == 'write' else fail(error))
    with pytest.raises(type(error)):
        write_whole(path, NEW)
    monkeypatch.undo()
    assert files_in(path.parent) == ([path.name] if before else [])
    assert not before or path.read_bytes() == OLD


@pytest.mark.parametrize('step', ['write', 'fsync', 'replace'])
def test_an_os_error_names_the_final_path_and_the_reason(path, monkeypatch, step):
    error = OSError(errno.ENOSPC, 'No space left on device', '/some/temporary/file')
    monkeypatch.setattr(os, step, fail_midway(error) if step == 'write' else fail(error))
    with pytest.raises(OSError, match='No space left on device') as caught:
        write_whole(path, NEW)
    assert caught.value.filename == str(path)
    assert caught.value.errno == errno.ENOSPC
    assert 'tmp' not in str(caught.value).replace(str(path), '')


def test_folder_that_is_not_there(tmp_path):
    path = tmp_path / 'nowhere' / 'model.npz'
    with pytest.raises(FileNotFoundError) as caught:
        write_whole(path, NEW)
    assert caught.value.filename == str(path)


def test_a_folder_of_that_name(path):
    path.mkdir()
    with pytest.raises(FileExistsError, match='a folder, device or pipe is there') as caught:
        write_whole(path, NEW)
    assert caught.value.filename == str(path)
    assert files_in(path.parent) == [path.name]


@POSIX
def test_a_pipe_is_not_replaced(path):
    os.mkfifo(path)
    with pytest.raises(FileExistsError, match='a folder, device or pipe is there') as caught:
        write_whole(path, NEW)
    assert caught.value.filename == str(path)
    assert path.is_fifo()
    assert files_in(path.parent) == [path.name]


@POSIX
def test_a_link_is_followed_to_what_there_is_or_will_be(path):
    target = path.with_name('target.npz')
    path.symlink_to(target.name)
    for content in (OLD, NEW):
        write_whole(path, content)
        assert path.is_symlink()
        assert target.read_bytes() == content


def test_bytes_are_on_the_disk_before_the_file_takes_its_name(path, monkeypatch):
    steps = []
    fsync, replace = os.fsync, os.replace

    def watched_fsync(descriptor):
        steps.append(('fsync', os.fstat(descriptor).st_ino, os.fstat(descriptor).st_size))
        fsync(descriptor)

    def watched_replace(source, target):
        assert Path(source).parent == Path(target).parent
        steps.append(('replace', str(target)))
        replace(source, target)

    monkeypatch.setattr(os, 'fsync', watched_fsync)
    monkeypatch.setattr(os, 'replace', watched_replace)
    write_whole(path, NEW)
    written = path.stat()
    assert steps[:2] == [('fsync', written.st_ino, written.st_size), ('replace', str(path))]
    if os.name == 'posix':
        assert steps[2][:2] == ('fsync', path.parent.stat().st_ino)


@POSIX
@pytest.mark.parametrize(('number', 'written'), [(errno.EINVAL, True), (errno.EIO, False)])
def test_a_folder_that_cannot_be_flushed_is_an_error_unless_its_file_system_flushes_none(
    path, monkeypatch, number, written
):
    fsync = os.fsync

    def refusing(descriptor):
        if os.fstat(descriptor).st_ino == path.parent.stat().st_ino:
            raise OSError(number, os.strerror(number))
        fsync(descriptor)

    monkeypatch.setattr(os, 'fsync', refusing)
    if written:
        write_whole(path, NEW)
    else:
        with pytest.raises(OSError, match='model.npz'):
            write_whole(path, NEW)


FILLS_THE_DISK = """
import resource, sys
from cnnx.checkpoint import write_whole
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    write_whole(sys.argv[1], bytes(1_000_000))
except OSError as error:
    print(error)
"""


@POSIX
def test_a_disk_that_really_fills_up(path):
    path.write_bytes(OLD)
    result = subprocess.run(
        [sys.executable, '-c', FILLS_THE_DISK, str(path)],
        env={**os.environ, 'PYTHONPATH': str(Path(cnnx.__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (result.returncode, result.stderr) == (0, '')
    assert 'File too large' in result.stdout
    assert str(path) in result.stdout
    assert files_in(path.parent) == [path.name]
    assert path.read_bytes() == OLD
