"""Reader of IDX files, the format of MNIST.

Source: "The IDX file format", Yann LeCun, Corinna Cortes and Christopher J. C. Burges, on MNIST's home
page: two zero bytes, a byte for the type, a byte for the number of dimensions, their sizes as big-endian
32-bit numbers, then the numbers, big-endian, in row-major order.
"""

import gzip
import math
import os
import stat
import struct
import sys
import zlib

import numpy as np

TYPES = {0x08: 'u1', 0x09: 'i1', 0x0B: '>i2', 0x0C: '>i4', 0x0D: '>f4', 0x0E: '>f8'}
GZIP_MAGIC = b'\x1f\x8b'
# The files of MNIST are compressed to a fifth of their size. More than a hundred to one, for more than SMALL bytes, is
# taken for a decompression bomb.
GZIP_LARGEST_RATIO = 100
SMALL = 1 << 20
O_NONBLOCK = getattr(os, 'O_NONBLOCK', 0)
CHUNK = 1 << 20


class DataError(ValueError):
    """A data file is missing, damaged, or not the expected one."""


class DataWarning(UserWarning):
    """Data can be used, but look wrong: pixels of 0 to 255, labels from 1, a class without samples."""


def read_idx(path, shape=None):
    """Read an IDX file, plain or compressed with gzip, into an array in the byte order of the machine.

    Args:
        path: the path of the file.
        shape: the expected shape; None accepts any.

    Returns:
        An array with the shape and dtype in the file.

    Raises:
        DataError: the file is not an IDX file, is truncated, has a wrong checksum, has data after its last number, has
            another shape, or announces more numbers than a file of its size can hold: if compressed, 100 times its
            size, or 1 MiB if that is more. No memory is allocated for these.
        OSError: the file does not exist or cannot be opened.
    """
    # Opening a named pipe would wait for a writer.
    with open(path, 'rb', opener=lambda name, flags: os.open(name, flags | O_NONBLOCK)) as raw:
        status = os.fstat(raw.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise DataError(f'{path}: not a file')
        return read_idx_from(raw, path, status.st_size, shape)


def read_idx_from(raw, path, size, shape=None):
    """Read like `read_idx`, from an open binary file that can seek.

    Args:
        raw: the file, at its beginning.
        path: what errors call it.
        size: its size in bytes.
        shape: the expected shape; None accepts any.

    Raises:
        DataError: see `read_idx`.
    """
    compressed = raw.read(2) == GZIP_MAGIC
    raw.seek(0)
    most_bytes = max(SMALL, size * GZIP_LARGEST_RATIO) if compressed else size
    try:
        with gzip.GzipFile(fileobj=raw) if compressed else raw as file:
            return _read(file, path, most_bytes, shape)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f'{path}: damaged gzip file ({error}); get a new copy') from error


def find_idx(folder, names, title, plain=True):
    """Return the paths of published files in a folder.

    Each is looked for under its name, and under one with a dot, as in train-images.idx3-ubyte; in the folder, in those
    in it, and in those in them, as archives and other libraries have them.

    Args:
        folder: a `Path`.
        names: such as train-images-idx3-ubyte.gz.
        title: of the data set, for messages.
        plain: whether files may be decompressed, without the suffix .gz.

    Raises:
        DataError: files are missing; it names them, and those that may be meant.
    """
    paths = {name: _find(folder, name, plain) for name in names}
    missing = [_missing(folder, name) for name, path in paths.items() if path is None]
    if missing:
        raise DataError(
            f'{folder}: expected {", ".join(missing)} of {title}; '
            f'without data_dir and CNNX_DATA_DIR, {title} is downloaded'
        )
    return list(paths.values())


def _find(folder, name, plain):
    forms = [name, name.removesuffix('.gz')] if plain else [name]
    forms += [form.replace('-idx', '.idx') for form in forms]
    found = (path for form in forms for where in ('', '*/', '*/*/') for path in sorted(folder.glob(where + form)))
    return next((path for path in found if path.is_file()), None)


def _missing(folder, name):
    """Return the name of a missing file, with what there is in its place."""
    if (folder / name.removesuffix('.gz')).is_file():
        return f'{name} (found it decompressed, which its checksum is not of)'
    near = sorted(path.name for path in folder.glob(f'{name.partition("-idx")[0]}*') if path.is_file())
    return f'{name} (found {near[0]}: rename it)' if near else name


def _read(file, path, most_bytes, wanted):
    head = file.read(4)
    if len(head) < 4 or head[:2] != b'\0\0' or head[2] not in TYPES or not 1 <= head[3] <= 32:
        raise DataError(
            f'{path}: not an IDX file: expected it to begin with 00 00, a type (08, 09, 0b, 0c, 0d or 0e) '
            f'and a number of dimensions, got {head.hex(" ") or "nothing"}'
        )
    dtype = np.dtype(TYPES[head[2]])
    sizes = file.read(4 * head[3])
    if len(sizes) < 4 * head[3]:
        raise DataError(f'{path}: truncated within the sizes of its {head[3]} dimensions; get a new copy')
    shape = struct.unpack(f'>{head[3]}I', sizes)
    if wanted is not None and shape != tuple(wanted):
        raise DataError(f'{path}: expected numbers of shape {tuple(wanted)}, got {shape}')
    expected = math.prod(shape) * dtype.itemsize
    if expected > most_bytes or math.prod(max(n, 1) for n in shape) > sys.maxsize // dtype.itemsize:
        raise DataError(
            f'{path}: announces numbers of shape {shape}, more than a file of its size can hold: '
            'truncated, or not an IDX file; get a new copy, or decompress it if you trust it'
        )
    data = bytearray()
    while chunk := file.read(min(CHUNK, expected - len(data) + 1)):
        data += chunk
        if len(data) > expected:
            raise DataError(f'{path}: has data after the {expected:,} bytes of its shape {shape}')
    if len(data) < expected:
        raise DataError(f'{path}: truncated: expected {expected:,} bytes of numbers, got {len(data):,}; get a new copy')
    array = np.frombuffer(data, dtype).reshape(shape)
    return array.astype(dtype.newbyteorder('='), copy=False)
