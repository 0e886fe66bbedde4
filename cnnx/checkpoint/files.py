"""Reading and writing .npz files: arrays, a description in JSON, and a checksum. Layers are not known here.

A file is an uncompressed .npz, which NumPy alone can read, with one more array, `description`: the bytes of a text
in JSON, with the number of this format and the dtype and shape of each other array. It ends with the checksum of
all bytes before it, as the comment of the zip file.
"""

import contextlib
import hashlib
import io
import json
import math
import os
import stat
import zipfile

import numpy as np

from cnnx.checkpoint.atomic import CHUNK, write_whole
from cnnx.checkpoint.errors import CheckpointError, as_checkpoint_error

FORMAT = 2
# The zip comment that ends each file: a mark, and the checksum of all bytes before its digits.
SEAL = b'cnnx sha256 '
DIGITS = 64
# Plain .npz files of weights may be compressed; a file that unpacks to more than this many times its size is refused.
LARGEST_RATIO = 20
SMALL = 1 << 20
# Bytes; arrays of numbers need a tenth of it. Python's parser raises a MemoryError on much longer ones.
LONGEST_HEADER = 2048
NUMBERS = 'biuf'


def write(path, arrays, description=None):
    """Write an .npz file, as `write_whole` does: whole, or, whatever happens meanwhile, as it was before.

    Args:
        path: where to; used as it is, no suffix is added. A link is followed.
        arrays: arrays of numbers by name.
        description: a dict that JSON can hold.

    Raises:
        MemoryError: there is not enough memory; the error names the path.
        OSError: as of `write_whole`.
        ValueError: as of `check_arrays`.
    """
    arrays = check_arrays(arrays)
    text = json.dumps({'format': FORMAT, 'arrays': _manifest(arrays), **(description or {})})
    try:
        write_whole(path, _pack({**arrays, 'description': np.frombuffer(text.encode(), np.uint8)}))
    except MemoryError as error:
        raise MemoryError(f'{path}: not enough memory for it') from error


def check_arrays(arrays):
    """Return arrays by name; raise a ValueError if one holds no numbers, or is called `description`."""
    arrays = {name: np.asarray(array) for name, array in arrays.items()}
    for name, array in arrays.items():
        if array.dtype.kind not in NUMBERS or name == 'description':
            raise ValueError(f'{name}: expected an array of numbers under another name, got {array.dtype}')
    return arrays


def read(path):
    """Return the arrays of an .npz file by name, and its description, or {} where it has none.

    A file of `write` is checked in full, by its checksum. Of other .npz files, what zip and NumPy check is. Nothing
    in a file is executed, and no more memory taken than its size accounts for.

    Raises:
        CheckpointError: it is not a whole .npz file of numbers, or of another format.
        MemoryError: there is not enough memory; the error names the path.
        OSError: there is no such file, or it cannot be opened.
    """
    with _opened(path) as (archive, stream):
        members = _members(archive, stream)
        sealed = _check_seal(stream)
        arrays = {name: _array(archive, member) for name, member in members.items()}
        if 'description' not in arrays:
            return arrays, {}
        description = _description(path, arrays.pop('description'))
        if not sealed:
            raise ValueError('its checksum is missing')
        if description.pop('arrays', None) != _manifest(arrays):
            raise ValueError('its arrays are not those that it lists')
    return arrays, description


def read_description(path):
    """Return a file's description, {} where it has none, without reading or checking the rest. Raises as `read`."""
    with _opened(path) as (archive, stream):
        member = _members(archive, stream).get('description')
        description = {} if member is None else _description(path, _array(archive, member))
        return {key: value for key, value in description.items() if key != 'arrays'}


def _manifest(arrays):
    return {name: {'dtype': array.dtype.str, 'shape': list(array.shape)} for name, array in arrays.items()}


def _pack(arrays):
    """Return the bytes of an .npz file, as `np.savez` writes it, that ends with the checksum of all before it."""
    stream = io.BytesIO()
    try:
        with zipfile.ZipFile(stream, 'w') as archive:
            archive.comment = SEAL + DIGITS * b'0'
            for name, array in arrays.items():
                # Without a date, equal contents make equal files.
                with archive.open(zipfile.ZipInfo(f'{name}.npy'), 'w', force_zip64=True) as member:
                    np.lib.format.write_array(member, array, allow_pickle=False)
    except ValueError as error:
        if stream.closed:  # where it finds no memory to grow
            raise MemoryError from error
        raise
    with stream.getbuffer() as content:
        content[-DIGITS:] = hashlib.sha256(content[:-DIGITS]).hexdigest().encode()
    return memoryview(stream.getvalue())


@contextlib.contextmanager
def _opened(path):
    """A context with an .npz file and its stream; errors of damaged bytes become a CheckpointError."""
    if not stat.S_ISREG(os.stat(os.fspath(path)).st_mode):
        raise CheckpointError(f'{path}: not a file')
    with open(path, 'rb') as stream, as_checkpoint_error(path, 'damaged, or no .npz file of numbers'):
        if not zipfile.is_zipfile(stream):
            raise CheckpointError(f'{path}: not an .npz file')
        with zipfile.ZipFile(stream) as archive:
            yield archive, stream


def _members(archive, stream):
    """Return the members of an .npz file by the names of their arrays, or raise a ValueError."""
    members = {}
    for member in archive.infolist():
        name = member.filename.removesuffix('.npy')
        if name == member.filename or name in members:
            raise ValueError(f'{name} is no array, or is there twice')
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f'{name} is compressed in a way that NumPy does not use')
        members[name] = member
    size = os.fstat(stream.fileno()).st_size
    packed, unpacked = (sum(getattr(m, key) for m in members.values()) for key in ('compress_size', 'file_size'))
    if packed > size or unpacked > max(SMALL, LARGEST_RATIO * size):
        raise ValueError(f'it announces {unpacked:,} bytes of arrays in {size:,} bytes of file')
    return members


def _array(archive, member):
    """Return an array of an .npz file. Its header is checked against the file before any memory is taken."""
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f'{member.filename} is of version {version} of the .npy format')
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        width = 2 if version == (1, 0) else 4
        if int.from_bytes(file.peek(width)[:width], 'little') > LONGEST_HEADER:
            raise ValueError(f'{member.filename} has a header of more than {LONGEST_HEADER} bytes')
        shape, fortran_order, dtype = read_header(file)
        if dtype.kind not in NUMBERS:
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


def _description(path, array):
    """Return a description from the array that holds its bytes.

    Raises:
        CheckpointError: it is of another format.
        ValueError: it is no JSON object.
    """
    if array.dtype != np.uint8:
        raise ValueError('its description is not text')
    description = json.loads(array.tobytes().decode())
    if not isinstance(description, dict):
        raise ValueError('its description is not an object')
    version = description.pop('format', None)
    if version != FORMAT:
        raise CheckpointError(
            f'{path}: format {version}; this cnnx reads format {FORMAT}: train again, or use the version that wrote it'
        )
    return description
