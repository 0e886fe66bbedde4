"""Atomic writes: after a crash a file is whole, or as it was before."""

import contextlib
import errno
import os
import threading
from pathlib import Path

CHUNK = 1 << 20


def write_whole(path, content):
    """Write bytes to a file: all of them, or the file stays as it was.

    The bytes go to a temporary file in the same folder, are flushed to the disk, and take the name at the end. The
    folder is flushed too, so that the new name lasts through a power cut. A link is followed.

    Raises:
        OSError: the file cannot be written, or a folder, a device or a pipe is there; the error names the path.
    """
    try:
        target = Path(os.path.realpath(path))
        if target.exists() and not target.is_file():
            raise FileExistsError(errno.EEXIST, 'a folder, device or pipe is there, which no file replaces')
        # A name for this process and thread alone.
        temporary = target.with_name(f'.{target.name}.{os.getpid()}-{threading.get_native_id()}.tmp')
        with _flushed_folder(target.parent):
            try:
                _write_and_flush(temporary, content)
                os.replace(temporary, target)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(temporary)
                raise
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def _write_and_flush(path, content):
    """Write a file and flush it to the disk. A flush that fails is not tried again: the next would claim success."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, 'O_BINARY', 0), 0o666)
    try:
        written = 0
        while written < len(content):
            written += os.write(descriptor, content[written : written + CHUNK])
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _flushed_folder(folder):
    """A context that opens a folder before anything in it changes, and flushes it at the end, where the system can."""
    if os.name != 'posix':
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        yield
        try:
            os.fsync(descriptor)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # this file system flushes no folders
                raise
    finally:
        os.close(descriptor)
