"""Arrays and a description in JSON, to an .npz file and back. Layers are not known here.

A file is an uncompressed .npz, which NumPy alone can read, with one array more, `description`: the bytes of a text
in JSON, with the version of this format and the dtype and shape of each other array. It ends with the checksum of
all that stands before it, as the comment of the zip file.
"""

import contextlib
import hashlib
import io
import json
import math
import os
import stat
import zipfile
from pathlib import Path

import numpy as np

from cnnx.checkpoint.atomic import CHUNK, write_whole
from cnnx.checkpoint.errors import CheckpointError, damage_told, lack_of_memory_told

FORMAT = 1
# The zip comment that ends each file: the checksum of all before its digits.
SEAL = b'cnnx sha256 '
DIGITS = 64
# Plain .npz files of weights may be compressed; more than this many times is a trap, not weights.
LARGEST_RATIO = 20
SMALL = 1 << 20
# Those of arrays of numbers have a tenth of that; Python's parser takes much larger ones for a lack of memory.
LONGEST_HEADER = 2048
# A member's name in a zip file, less '.npy'.
LONGEST_NAME = 65_535 - 4
O_NONBLOCK = getattr(os, 'O_NONBLOCK', 0)
NUMBERS = 'biuf'


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
        ValueError: `check_arrays` raises it.
    """
    arrays = check_arrays(arrays)
    text = json.dumps({'format': FORMAT, 'arrays': _manifest(arrays), **(description or {})})
    with lack_of_memory_told(path):
        write_whole(Path(path), _pack({**arrays, 'description': np.frombuffer(text.encode(), np.uint8)}))


def check_arrays(arrays):
    """Return arrays by name, or raise a ValueError for what `write` cannot write.

    That is one that holds something else than numbers, or a name that is `description`, or none in a zip file.
    """
    arrays = {name: np.asarray(array) for name, array in arrays.items()}
    for name, array in arrays.items():
        if not _is_name(name):
            raise ValueError(
                f'{name!r:.60}: expected the name of an array as UTF-8 without a zero, at most {LONGEST_NAME:,} bytes'
            )
        if array.dtype.kind not in NUMBERS or name == 'description':
            raise ValueError(f'{name}: expected an array of numbers under another name, got {array.dtype}')
    return arrays


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


def _is_name(name):
    try:
        return '\0' not in name and len(name.encode()) <= LONGEST_NAME
    except UnicodeEncodeError:
        return False


def _manifest(arrays):
    return {name: {'dtype': array.dtype.str, 'shape': list(array.shape)} for name, array in arrays.items()}


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
        # Or it and its open member would be finished when they go, and complain of what is not.
        archive.fp, archive._writing, archive._didModify = io.BytesIO(), False, False
        if stream.closed:  # as it is where it finds no memory to grow
            raise MemoryError from error
        raise
    with stream.getbuffer() as content:
        content[-DIGITS:] = hashlib.sha256(content[:-DIGITS]).hexdigest().encode()
    # Python 3.13 complains of a stream that goes while a view of its buffer is left; these bytes are no view.
    return memoryview(stream.getvalue())


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
