"""Reader for IDX files, the format of MNIST.

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
# Files of MNIST have a fifth of their size when packed; a hundredth, beyond SMALL, is a trap.
GZIP_LARGEST_RATIO = 100
SMALL = 1 << 20
O_NONBLOCK = getattr(os, 'O_NONBLOCK', 0)
CHUNK = 1 << 20


class DataError(ValueError):
    """A data file is missing, damaged, or not what its name says."""


def read_idx(path, shape=None):
    """Read an IDX file, plain or compressed with gzip, into an array of the machine's byte order.

    Args:
        path: where it is.
        shape: what its sizes must be; None takes any.

    Raises:
        DataError: it is no IDX file, it is truncated, its checksum is wrong, it goes on after its last
            number, it has another shape, or it claims more numbers than a file of its size can hold: when
            compressed, a hundred times its size (and 1 MiB in any case). Little memory is taken then.
        OSError: there is no such file, or it cannot be opened.
    """
    # A named pipe would have its reader wait for a writer.
    with open(path, 'rb', opener=lambda name, flags: os.open(name, flags | O_NONBLOCK)) as raw:
        status = os.fstat(raw.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise DataError(f'{path}: not a file')
        return read_idx_from(raw, path, status.st_size, shape)


def read_idx_from(raw, path, size, shape=None):
    """Read what `read_idx` does from a binary file that is open and can seek.

    Args:
        raw: the file, at its beginning.
        path: what errors call it.
        size: in bytes.
        shape: what its sizes must be; None takes any.

    Raises:
        DataError: as `read_idx` does.
    """
    compressed = raw.read(2) == GZIP_MAGIC
    raw.seek(0)
    most_bytes = max(SMALL, size * GZIP_LARGEST_RATIO) if compressed else size
    try:
        with gzip.GzipFile(fileobj=raw) if compressed else raw as file:
            return _read(file, path, most_bytes, shape)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f'{path}: damaged gzip file ({error}); get it anew') from error


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
        raise DataError(f'{path}: truncated within the sizes of its {head[3]} dimensions; get it anew')
    shape = struct.unpack(f'>{head[3]}I', sizes)
    if wanted is not None and shape != tuple(wanted):
        raise DataError(f'{path}: holds something else: expected numbers of shape {tuple(wanted)}, got {shape}')
    expected = math.prod(shape) * dtype.itemsize
    if expected > most_bytes or math.prod(max(n, 1) for n in shape) > sys.maxsize // dtype.itemsize:
        raise DataError(
            f'{path}: announces numbers of shape {shape}, more than a file of its size can hold: '
            'truncated, or not an IDX file; get it anew, or unpack it if you trust it'
        )
    data = bytearray()
    while chunk := file.read(min(CHUNK, expected - len(data) + 1)):
        data += chunk
        if len(data) > expected:
            raise DataError(f'{path}: goes on after the {expected:,} bytes of numbers that its sizes {shape} announce')
    if len(data) < expected:
        raise DataError(f'{path}: truncated: expected {expected:,} bytes of numbers, got {len(data):,}; get it anew')
    array = np.frombuffer(data, dtype).reshape(shape)
    return array.astype(dtype.newbyteorder('='), copy=False)
