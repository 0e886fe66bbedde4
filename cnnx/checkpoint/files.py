"""Arrays and a description in JSON, to an .npz file and back. Layers are not known here.

A file is an uncompressed .npz, which NumPy alone can read, with one array more, `description`: the bytes of a text
in JSON, with the version of this format and the dtype and shape of each other array. It ends with the checksum of
all that stands before it, as the comment of the zip file.
"""

import contextlib
import errno
import hashlib
import io
import json
import math
import os
import re
import stat
import threading
import zipfile
from pathlib import Path

import numpy as np

from cnnx.checkpoint.errors import (
    CheckpointError,
    damage_told,
    from_the_file,
    lack_of_memory_told,
    system_errors_ignored,
)

FORMAT = 1
# The zip comment that ends each file: the checksum of all before its digits.
SEAL = b'cnnx sha256 '
DIGITS = 64
CHUNK = 1 << 20
# Plain .npz files of weights may be compressed; more than this many times is a trap, not weights.
LARGEST_RATIO = 20
SMALL = 1 << 20
# Those of arrays of numbers have a tenth of that; Python's parser takes much larger ones for a lack of memory.
LONGEST_HEADER = 2048
O_NONBLOCK = getattr(os, 'O_NONBLOCK', 0)
NUMBERS = 'biuf'
# The name of a file while it is written; the group is the name that it is to get.
TEMPORARY = re.compile(r'\.(.+)\.[0-9]+-[0-9]+\.tmp', re.DOTALL)


def write(path, arrays, description=None):
    """Write an .npz file that is either whole or, whatever happens meanwhile, not there.

    The bytes go to a temporary file in the same folder, are flushed to the disk, and take the name at
    the end, which is flushed too; a file of that name from before stays until then.

    Args:
        path: where to; used as it is, no suffix is added. A link is followed.
        arrays: arrays of numbers by name.
        description: what JSON can hold, by name.

    Raises:
        MemoryError: there is not enough memory; it names the path.
        OSError: the file cannot be written, or a device, a pipe or a folder is there; it names the path.
        ValueError: an array holds something else than numbers, or has the name `description`.
    """
    arrays = {name: np.asarray(array) for name, array in arrays.items()}
    for name, array in arrays.items():
        if array.dtype.kind not in NUMBERS or name == 'description':
            raise ValueError(f'{name}: expected an array of numbers under another name, got {array.dtype}')
    text = json.dumps({'format': FORMAT, 'arrays': _manifest(arrays), **(description or {})})
    with lack_of_memory_told(path):
        write_whole(Path(path), _pack({**arrays, 'description': np.frombuffer(text.encode(), np.uint8)}))


def read(path):
    """Return the arrays of an .npz file by name, and its description, or {} where it has none.

    All of a file of `write` is checked. Of other .npz files, what zip and NumPy know of them is; nothing in
    any file is executed, and no more memory taken than the file's size accounts for.

    Raises:
        CheckpointError: it is not a whole .npz file of numbers, or newer than this version of cnnx.
        MemoryError: there is not enough memory; it names the path.
        OSError: there is no such file, or it cannot be opened.
    """
    with _opened(path) as (archive, stream):
        members = _members(archive, stream)
        sealed = _check_seal(stream)
        arrays = {name: _array(archive, member) for name, member in members.items()}
        description = _description(arrays.pop('description', None))
        if not description:
            return arrays, {}
        version, manifest = description.pop('format', None), description.pop('arrays', None)
        if isinstance(version, int) and version > FORMAT:
            raise CheckpointError(
                f'{path}: written in format {version}, this version of cnnx reads format {FORMAT}; install a newer cnnx'
            )
        if not sealed:
            raise ValueError('its checksum is missing')
        if version != FORMAT or manifest != _manifest(arrays):
            raise ValueError('its arrays are not those that it lists')
    return arrays, description


def read_description(path):
    """Return a file's description, {} where it has none, without reading or checking anything else."""
    with _opened(path) as (archive, stream):
        member = _members(archive, stream).get('description')
        description = {} if member is None else _description(_array(archive, member))
        return {key: value for key, value in description.items() if key not in ('format', 'arrays')}


def _manifest(arrays):
    return {name: {'dtype': array.dtype.str, 'shape': list(array.shape)} for name, array in arrays.items()}


def _temporary_name(path):
    """Return the file that becomes `path` when it is whole, for this process and thread alone."""
    return path.with_name(f'.{path.name}.{os.getpid()}-{threading.get_native_id()}.tmp')


def _pack(arrays):
    """Return the bytes of an .npz file, as `np.savez` writes it, that ends with the checksum of all before it."""
    stream = io.BytesIO()
    archive = zipfile.ZipFile(stream, 'w')
    try:
        archive.comment = SEAL + DIGITS * b'0'
        for name, array in arrays.items():
            # Without a date, equal contents make equal files.
            with archive.open(zipfile.ZipInfo(f'{name}.npy'), 'w', force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
        archive.close()
    except BaseException as error:
        archive.fp = None  # or it would be finished, and complain of what is not
        if stream.closed:  # as it is where it finds no memory to grow
            raise MemoryError from error
        raise
    content = stream.getbuffer()
    content[-DIGITS:] = hashlib.sha256(content[:-DIGITS]).hexdigest().encode()
    return content


def write_whole(path, content):
    """Give a name to bytes: to all of them, or it stays with what it was."""
    target = Path(os.path.realpath(path))
    temporary = _temporary_name(target)
    try:
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
        if not from_the_file(error):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


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


@contextlib.contextmanager
def _opened(path):
    """Open an .npz file; yield it and its stream. What damage raises meanwhile becomes a CheckpointError."""
    # A named pipe would have its reader wait for a writer.
    with open(os.fspath(path), 'rb', opener=lambda name, flags: os.open(name, flags | O_NONBLOCK)) as stream:
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            raise CheckpointError(f'{path}: not a file')
        with damage_told(path):
            if not zipfile.is_zipfile(stream):
                raise CheckpointError(f'{path}: not an .npz file')
            stream.seek(0)
            with zipfile.ZipFile(stream) as archive:
                yield archive, stream


def _members(archive, stream):
    """Return the members of an .npz file by the names of their arrays, or raise a ValueError."""
    members = {}
    for member in archive.infolist():
        name = member.filename.removesuffix('.npy')
        if name == member.filename:
            raise ValueError(f'{name} is no array')
        if name in members:
            raise ValueError(f'{name} is there twice')
        if member.flag_bits & 1:
            raise ValueError(f'{name} is encrypted')
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f'{name} is compressed in a way that NumPy does not use')
        members[name] = member
    size = os.fstat(stream.fileno()).st_size
    packed, unpacked = (sum(getattr(m, key) for m in members.values()) for key in ('compress_size', 'file_size'))
    if packed > size or unpacked > max(SMALL, LARGEST_RATIO * size):
        raise ValueError(f'it announces {unpacked:,} bytes of arrays in {size:,} bytes of file')
    return members


def _array(archive, member):
    """Return an array of an .npz file. Its header is held to what is there before any memory is taken."""
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f'{member.filename} is of version {version} of the .npy format')
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        width = 2 if version == (1, 0) else 4
        if int.from_bytes(file.peek(width)[:width], 'little') > LONGEST_HEADER:
            raise ValueError(f'{member.filename} has a header of more than {LONGEST_HEADER} bytes')
        shape, fortran_order, dtype = read_header(file)
        if dtype.hasobject:
            raise ValueError(f'{member.filename} holds Python objects, which are never loaded')
        if dtype.kind not in NUMBERS and (dtype.kind, member.filename) != ('U', 'description.npy'):
            raise ValueError(f'{member.filename} holds {dtype}, not numbers')
        size = math.prod(shape) * dtype.itemsize
        if min(shape, default=0) < 0 or file.tell() + size != member.file_size:
            raise ValueError(f'{member.filename} announces {dtype} of shape {shape}, and has another size')
        content = bytearray(file.read(size))
        if len(content) < size or file.read(1):
            raise ValueError(f'{member.filename} is cut short')
    return np.ndarray(shape, dtype, content, order='F' if fortran_order else 'C')


def _check_seal(stream):
    """Return whether a zip file ends with a checksum, or raise a ValueError if that is wrong."""
    left = stream.seek(0, os.SEEK_END) - DIGITS
    stream.seek(max(left - len(SEAL), 0))
    if stream.read(len(SEAL)) != SEAL:
        return False
    seal = stream.read()
    stream.seek(0)
    digest = hashlib.sha256()
    while left:
        chunk = stream.read(min(left, CHUNK))
        digest.update(chunk)
        left -= len(chunk)
    if seal != digest.hexdigest().encode():
        raise ValueError('its checksum is wrong')
    return True


def _description(array):
    """Return a description from the array that holds it: bytes, or in older files text."""
    if array is None:
        return {}
    if array.dtype == np.uint8:
        text = array.tobytes().decode()
    elif array.shape == () and array.dtype.kind == 'U':
        text = array.item()
    else:
        raise ValueError('its description is not text')
    description = json.loads(text)
    if not isinstance(description, dict):
        raise ValueError('its description is not an object')
    return description
