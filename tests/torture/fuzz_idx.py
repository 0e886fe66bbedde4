"""Fuzz the reader of IDX files: `python tests/torture/fuzz_idx.py --seconds 600`. Needs cnnx[fuzz]."""

import gzip
import random
import zlib

import atheris
import fuzzing

with atheris.instrument_imports(include=['cnnx.data']):
    from cnnx.data import DataError, read_idx
    from cnnx.data.mnist import FILES, SUBSET

LARGEST = 1 << 15
# More than this many bytes packed into one are refused, beyond 1 MiB.
LARGEST_RATIO = 100


def seeds():
    """Real files cut short, plain and packed, and one of each type of number."""
    found = []
    for name in FILES:
        data = gzip.decompress((SUBSET / name).read_bytes())
        size = 784 if data[3] == 3 else 1
        found.append(data[:4] + (3).to_bytes(4, 'big') + data[8 : 4 + 4 * data[3] + 3 * size])
    found += [bytes([0, 0, kind, 2, 0, 0, 0, 1, 0, 0, 0, 2, *range(16)]) for kind in (8, 9, 11, 12, 13, 14)]
    return [*found, *map(gzip.compress, found), gzip.compress(found[0][:9]) + gzip.compress(found[0][9:])]


def check(path):
    try:
        array = read_idx(path)
    except DataError as error:
        assert str(path) in str(error)
    else:
        assert array.dtype.isnative
        assert array.nbytes <= max(1 << 20, path.stat().st_size * LARGEST_RATIO)


def mutate(data, largest, seed):
    """Now and then, change what is inside a gzip file and pack it again, so that its checksum is right."""
    if random.Random(seed).random() < 0.5:
        return None
    try:
        inside = gzip.decompress(data)
    except (EOFError, OSError, zlib.error):
        return None
    return gzip.compress(atheris.Mutate(inside, largest), 1)


if __name__ == '__main__':
    fuzzing.main('fuzz_idx', seeds, check, mutate, LARGEST)
