"""IDX files: what is read, and what is refused."""

import gzip
import math
import os
import struct
import time
import tracemalloc

import numpy as np
import pytest

from cnnx.data import DataError, read_idx

CODES = {'uint8': 0x08, 'int8': 0x09, 'int16': 0x0B, 'int32': 0x0C, 'float32': 0x0D, 'float64': 0x0E}
SHAPES = [(3,), (2, 3), (2, 3, 4), (1, 2, 3, 4), (5, 1, 1), (0,), (0, 28, 28), (2,) * 7]


def header(code, *sizes):
    return struct.pack(f'>HBB{len(sizes)}I', 0, code, len(sizes), *sizes)


def idx_bytes(array):
    big_endian = array.astype(array.dtype.newbyteorder('>'))
    return header(CODES[array.dtype.name], *array.shape) + big_endian.tobytes()


def numbers(name, shape):
    """Return numbers whose bytes all differ from what the wrong byte order, type or dimension order would give."""
    count = math.prod(shape)
    if name.startswith('float'):
        return (np.arange(count) * 1.7 - 3.3).astype(name).reshape(shape)
    limits = np.iinfo(name)
    return np.linspace(int(limits.min), int(limits.max), count).astype(name).reshape(shape)


def assert_same(read, array):
    assert read.dtype == array.dtype
    assert read.dtype.isnative
    assert read.shape == array.shape
    np.testing.assert_array_equal(read, array)


@pytest.fixture
def saved(tmp_path):
    """Return a function that puts bytes into a file."""

    def save(data, name='file-idx'):
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return save


@pytest.fixture
def small():
    return np.arange(12, dtype=np.int16).reshape(3, 4) * 1000


@pytest.mark.parametrize('pack', [bytes, gzip.compress], ids=['plain', 'gzip'])
@pytest.mark.parametrize('shape', SHAPES, ids=str)
@pytest.mark.parametrize('name', CODES)
def test_reads_every_type_and_shape(saved, name, shape, pack):
    array = numbers(name, shape)
    assert_same(read_idx(saved(pack(idx_bytes(array)))), array)


@pytest.mark.parametrize(
    ('code', 'data', 'value'),
    [
        (0x08, 'ff', 255),
        (0x09, 'ff', -1),
        (0x0B, '0102', 258),
        (0x0B, 'fffe', -2),
        (0x0C, '01020304', 16909060),
        (0x0D, '3fc00000', 1.5),
        (0x0E, 'c004000000000000', -2.5),
    ],
)
def test_numbers_are_big_endian(saved, code, data, value):
    assert read_idx(saved(header(code, 1) + bytes.fromhex(data))).tolist() == [value]


def test_numbers_are_in_row_major_order(saved):
    assert read_idx(saved(header(0x08, 2, 3) + bytes(range(6)))).tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize('name', CODES)
def test_array_can_be_written_to(saved, name):
    array = read_idx(saved(idx_bytes(numbers(name, (2, 3)))))
    array[0, 0] = 7
    assert array[0, 0] == 7


def test_path_may_be_text(saved, small):
    assert_same(read_idx(str(saved(idx_bytes(small)))), small)


def test_name_does_not_matter(saved, small):
    assert_same(read_idx(saved(idx_bytes(small), 'plain.gz')), small)
    assert_same(read_idx(saved(gzip.compress(idx_bytes(small)), 'packed')), small)


def test_gzip_in_several_members(saved, small):
    data = idx_bytes(small)
    assert_same(read_idx(saved(gzip.compress(data[:9]) + gzip.compress(data[9:]))), small)


def test_more_than_one_chunk(saved):
    array = np.random.default_rng(0).integers(0, 256, (3, 1000, 1000), np.uint8)
    assert_same(read_idx(saved(gzip.compress(idx_bytes(array), 1))), array)


def test_32_dimensions_are_the_most_that_are_read(saved):
    assert read_idx(saved(header(0x08, *[1] * 32) + b'\7')).shape == (1,) * 32
    with pytest.raises(DataError, match='not an IDX file'):
        read_idx(saved(header(0x08, *[1] * 33) + b'\7'))


@pytest.mark.parametrize('pack', [bytes, gzip.compress], ids=['plain', 'gzip'])
@pytest.mark.parametrize(
    'magic', ['01000803', '00010803', '00000003', '00000a01', '00000f01', '00000800', '89504e47', '504b0304']
)
def test_wrong_magic(saved, magic, pack):
    path = saved(pack(bytes.fromhex(magic) + bytes(64)))
    with pytest.raises(DataError, match='not an IDX file') as caught:
        read_idx(path)
    assert str(path) in str(caught.value)
    assert bytes.fromhex(magic).hex(' ') in str(caught.value)


@pytest.mark.parametrize('pack', [bytes, gzip.compress], ids=['plain', 'gzip'])
def test_empty_file(saved, pack):
    path = saved(pack(b''))
    with pytest.raises(DataError, match='not an IDX file.*nothing') as caught:
        read_idx(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize('pack', [bytes, gzip.compress], ids=['plain', 'gzip'])
def test_every_truncation_of_the_contents_is_refused(saved, small, pack):
    data = idx_bytes(small)
    for length in range(len(data)):
        path = saved(pack(data[:length]))
        with pytest.raises(DataError) as caught:
            read_idx(path)
        assert str(path) in str(caught.value)


def test_every_truncation_of_a_gzip_file_is_refused(saved, small):
    data = gzip.compress(idx_bytes(small))
    for length in range(len(data)):
        path = saved(data[:length])
        with pytest.raises(DataError) as caught:
            read_idx(path)
        assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ('length', 'expected'), [(8, 'truncated within the sizes'), (30, 'truncated: expected 24 bytes.*got 18')]
)
def test_truncation_says_where(saved, small, length, expected):
    with pytest.raises(DataError, match=expected):
        read_idx(saved(idx_bytes(small)[:length]))


@pytest.mark.parametrize('pack', [bytes, gzip.compress], ids=['plain', 'gzip'])
@pytest.mark.parametrize('extra', [b'\0', b'\1', b'\0' * 5000])
def test_trailing_bytes(saved, small, extra, pack):
    with pytest.raises(DataError, match='has data after the 24 bytes'):
        read_idx(saved(pack(idx_bytes(small) + extra)))


@pytest.mark.parametrize('extra', [b'junk', gzip.compress(b'\0'), b'\x1f'], ids=['junk', 'member', 'byte'])
def test_trailing_bytes_after_the_gzip_member(saved, small, extra):
    with pytest.raises(DataError):
        read_idx(saved(gzip.compress(idx_bytes(small)) + extra))


@pytest.mark.parametrize(
    'sizes',
    [
        (2**32 - 1,),
        (2**32 - 1,) * 2,
        (2**32 - 1,) * 32,
        (2**31, 2**31),
        (2**31, 2**31, 4),
        (60000, 28, 28),
    ],
    ids=['one', 'two', '32', '2**65 bytes', '2**67 bytes', 'MNIST'],
)
@pytest.mark.parametrize('pack', [bytes, gzip.compress], ids=['plain', 'gzip'])
def test_absurd_sizes_are_refused_quickly_and_without_memory(saved, sizes, pack):
    path = saved(pack(header(0x0E, *sizes) + bytes(16)))
    tracemalloc.start()
    began = time.perf_counter()
    try:
        with pytest.raises(DataError) as caught:
            read_idx(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert str(path) in str(caught.value)
    assert peak < 5_000_000
    assert time.perf_counter() - began < 2


@pytest.mark.parametrize('sizes', [(0, *[2**32 - 1] * 3), (*[2**32 - 1] * 31, 0)], ids=['4', '32'])
def test_absurd_sizes_of_no_numbers(saved, sizes):
    path = saved(header(0x0E, *sizes))
    with pytest.raises(DataError) as caught:
        read_idx(path)
    assert str(path) in str(caught.value)


def test_a_bomb_that_states_its_size_is_refused_before_it_takes_memory(saved):
    path = saved(gzip.compress(header(0x08, 50_000_000) + bytes(50_000_000), 9))
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match='more than a file of its size can hold') as caught:
            read_idx(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert str(path) in str(caught.value)
    assert peak < 5_000_000


def test_a_small_file_may_be_packed_as_well_as_it_can(saved):
    zeros = np.zeros(1_000_000, np.uint8)
    assert_same(read_idx(saved(gzip.compress(idx_bytes(zeros), 9))), zeros)


def test_a_shape_that_is_asked_for(saved, small):
    path = saved(idx_bytes(small))
    assert_same(read_idx(path, (3, 4)), small)
    assert_same(read_idx(path, [3, 4]), small)
    with pytest.raises(DataError, match=r'expected numbers of shape \(4, 3\), got \(3, 4\)'):
        read_idx(path, (4, 3))


@pytest.mark.skipif(not hasattr(os, 'mkfifo'), reason='named pipes are POSIX')
def test_a_named_pipe_or_a_device_is_no_file(tmp_path):
    os.mkfifo(tmp_path / 'pipe')
    for path in (tmp_path / 'pipe', os.devnull):
        with pytest.raises(DataError, match='not a file'):
            read_idx(path)


def test_a_bomb_is_left_once_it_exceeds_its_sizes(saved):
    path = saved(gzip.compress(header(0x08, 10) + bytes(50_000_000), 9))
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match='has data after'):
            read_idx(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 5_000_000


@pytest.mark.parametrize('flip', [0x01, 0x04, 0x10, 0x80, 0xFF])
@pytest.mark.parametrize('level', [0, 9])
def test_every_damaged_byte_of_a_gzip_file(saved, small, flip, level):
    data = gzip.compress(idx_bytes(small), level, mtime=0)
    messages = []
    for position in range(len(data)):
        damaged = bytearray(data)
        damaged[position] ^= flip
        path = saved(damaged)
        try:
            array = read_idx(path)
        except DataError as error:
            messages.append(str(error))
        else:
            assert_same(array, small)
            assert 3 <= position <= 10, 'flags, time, level, system and the padding of a stored block mean nothing'
    assert len(messages) >= len(data) - 8
    assert all(str(path) in message for message in messages)


def test_no_such_file(tmp_path):
    with pytest.raises(FileNotFoundError, match='missing-idx'):
        read_idx(tmp_path / 'missing-idx')


def test_folder(tmp_path):
    with pytest.raises(OSError, match=tmp_path.name):
        read_idx(tmp_path)


def test_data_error_is_a_value_error():
    assert issubclass(DataError, ValueError)
