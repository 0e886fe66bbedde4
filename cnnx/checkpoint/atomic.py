"""Files that are whole or absent, and what killed processes left of them half written."""

import contextlib
import errno
import os
import re
import threading
from pathlib import Path

from cnnx._util.errors import from_the_system
from cnnx.checkpoint.errors import system_errors_ignored

CHUNK = 1 << 20
# The name of a file while it is written; the groups are the name that it is to get, and the process that writes.
TEMPORARY = re.compile(r'\.(.+)\.([0-9]+)-[0-9]+\.tmp', re.DOTALL)


def write_whole(path, content):
    """Give a name to bytes: to all of them, or it stays with what it was."""
    try:
        target = Path(os.path.realpath(path))
        temporary = _temporary_name(target)
        if target.exists() and not target.is_file():
            raise FileExistsError(errno.EEXIST, 'a folder, device or pipe is there, which no file replaces')
        with _opened_folder(target.parent) as folder:
            try:
                _write_through(temporary, content)
                os.replace(temporary, target)
            except BaseException:
                with system_errors_ignored():
                    os.unlink(temporary)
                raise
            _sync_folder(folder)
    except OSError as error:
        if not from_the_system(error):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def remove_leftovers_of(path):
    """Remove what processes of this machine that are gone have left half written of a file."""
    target = Path(os.path.realpath(path))
    remove_temporary(target.parent, lambda name, process: name == target.name and _is_gone(process))


def remove_temporary(folder, wanted):
    """Remove files of a folder that were being written, where `wanted` of their name to be and the process says so."""
    for leftover in Path(folder).glob('.*.tmp'):
        match = TEMPORARY.fullmatch(leftover.name)
        if match and wanted(match[1], int(match[2])):
            with system_errors_ignored():
                leftover.unlink()


def _temporary_name(path):
    """Return the file that becomes `path` when it is whole, for this process and thread alone."""
    return path.with_name(f'.{path.name}.{os.getpid()}-{threading.get_native_id()}.tmp')


def _write_through(path, content):
    """Write a file, down to the disk. A flush that fails is not tried again: the next would claim success."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, 'O_BINARY', 0), 0o666)
    try:
        written = 0
        while written < len(content):
            written += os.write(descriptor, content[written : written + CHUNK])
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _opened_folder(folder):
    """Yield a descriptor of a folder, before anything in it is changed; None where folders cannot be opened."""
    if os.name != 'posix':
        yield None
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _sync_folder(descriptor):
    """Make a rename last through a power cut, where folders can be flushed."""
    try:
        if descriptor is not None:
            os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise


def _is_gone(process):
    """Return whether there is no such process; False where that cannot be asked."""
    with contextlib.suppress(PermissionError, OverflowError):  # it is another user's, or no number of one
        try:
            if os.name == 'posix':  # elsewhere the question would be a signal
                os.kill(process, 0)
        except ProcessLookupError:
            return True
    return False
