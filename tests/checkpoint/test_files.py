"""Reading and writing .npz files: what comes back, and what damaged or crafted files raise."""

import errno
import hashlib
import io
import json
import os
import time
import tracemalloc
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest

import cnnx
from cnnx import checkpoint
from cnnx.checkpoint import CheckpointError, files

ARRAYS = {
    'weights_0': np.arange(6, dtype=np.float32).reshape(2, 3),
    'bias_0': np.array([-0.0, np.nan, np.inf]),
    'empty': np.zeros((0, 4), np.float32),
    'scalar': np.array(7),
    'transposed': np.asfortranarray(np.arange(12, dtype=np.float64).reshape(3, 4)),
}
DESCRIPTION = {'epoch': 3, 'state': 2**127 + 1, 'nested': {'list': [1, 0.1, None, True]}, 'text': 'ä€😀', 'nan': 1e300}


def assert_same_arrays(read, expected):
    assert list(read) == list(expected)
    for name, array in expected.items():
        assert read[name].dtype == array.dtype
        assert read[name].shape == array.shape
        assert read[name].tobytes() == array.tobytes()


def files_in(folder):
    return sorted(path.name for path in folder.iterdir())


def npz(**members):
    """Return the bytes of a zip file with these members: arrays, or bytes as they are."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, 'w') as file:
        for name, value in members.items():
            if not isinstance(value, bytes):
                packed = io.BytesIO()
                np.save(packed, value)
                value = packed.getvalue()
            file.writestr(f'{name}.npy', value)
    return stream.getvalue()


def described(description, **arrays):
    text = description if isinstance(description, str) else json.dumps({'format': files.FORMAT, **description})
    return npz(**arrays, description=np.frombuffer(text.encode(), np.uint8))


def fail(error):
    def failing(*arguments, **options):
        raise error

    return failing


@pytest.fixture
def path(tmp_path):
    return tmp_path / 'model.npz'


# Writing and reading


@pytest.mark.parametrize('description', [None, {}, DESCRIPTION], ids=['none', 'empty', 'rich'])
def test_round_trip(path, description):
    checkpoint.write(path, ARRAYS, description)
    arrays, found = checkpoint.read(path)
    assert_same_arrays(arrays, ARRAYS)
    assert found == (description or {})
    assert files_in(path.parent) == [path.name]


def test_description_alone(path):
    checkpoint.write(path, ARRAYS, DESCRIPTION)
    found = checkpoint.read_description(path)
    assert found == DESCRIPTION


def test_a_description_takes_a_byte_a_letter(path):
    checkpoint.write(path, {}, {'text': 'a' * 10_000})
    assert path.stat().st_size < 11_000


def test_no_arrays(path):
    checkpoint.write(path, {}, {'epoch': 1})
    arrays, found = checkpoint.read(path)
    assert arrays == {}
    assert found['epoch'] == 1


def test_numpy_alone_can_read_it(path):
    checkpoint.write(path, ARRAYS, DESCRIPTION)
    with np.load(path, allow_pickle=False) as file:
        assert set(file.files) == {*ARRAYS, 'description'}
        assert json.loads(file['description'].tobytes())['epoch'] == 3


def test_arguments_are_left_alone(path):
    arrays, description = dict(ARRAYS), dict(DESCRIPTION)
    checkpoint.write(path, arrays, description)
    assert list(arrays) == list(ARRAYS)
    assert description == DESCRIPTION


class ScarceMemory(io.BytesIO):
    """Memory that can grow to 300 bytes; io.BytesIO is closed where it cannot grow."""

    def write(self, data):
        if self.tell() + memoryview(data).nbytes > 300:
            self.close()
            raise MemoryError
        return super().write(data)


def test_a_save_without_memory_says_so(path, monkeypatch):
    checkpoint.write(path, ARRAYS)
    monkeypatch.setattr(io, 'BytesIO', ScarceMemory)
    with pytest.raises(MemoryError, match=r'model\.npz: not enough memory'):
        checkpoint.write(path, {'weights_0': np.ones(1000)})
    assert_same_arrays(checkpoint.read(path)[0], ARRAYS)


def test_a_description_that_json_cannot_hold(path):
    checkpoint.write(path, ARRAYS)
    with pytest.raises(TypeError):
        checkpoint.write(path, ARRAYS, {'what': object()})
    assert files_in(path.parent) == [path.name]
    assert_same_arrays(checkpoint.read(path)[0], ARRAYS)


# Files that are damaged, or something else


@pytest.mark.parametrize(
    'content',
    [
        b'',
        b'PK',
        b'not an npz file',
        bytes(5000),
        b'\x93NUMPY' + bytes(100),
        b'PK\5\6' + bytes(17),
        b'\x80\4]q\0.',
    ],
    ids=['empty', 'two bytes', 'text', 'zeros', 'npy', 'cut zip', 'pickle'],
)
@pytest.mark.parametrize('reader', [checkpoint.read, checkpoint.read_description])
def test_not_an_npz(path, content, reader):
    path.write_bytes(content)
    with pytest.raises(CheckpointError) as caught:
        reader(path)
    assert str(path) in str(caught.value)
    assert 'pickle' not in str(caught.value).replace(str(path), '')


@pytest.mark.parametrize('reader', [checkpoint.read, checkpoint.read_description])
def test_a_plain_npy_file(path, reader):
    with open(path, 'wb') as file:
        np.save(file, np.arange(5))
    with pytest.raises(CheckpointError, match='not an .npz file'):
        reader(path)


def test_truncated_at_every_length(path):
    checkpoint.write(path, {'weights_0': np.arange(6.0), 'bias_0': np.zeros(2)}, {'epoch': 1})
    content, described = path.read_bytes(), checkpoint.read_description(path)
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(CheckpointError) as caught:
            checkpoint.read(path)
        assert str(path) in str(caught.value)
        try:
            assert checkpoint.read_description(path) == described
        except CheckpointError as error:
            assert str(path) in str(error)


FLIPPED = {'weights_0': np.arange(6.0), 'velocity_weights_0': np.ones(2, np.float32)}


@pytest.fixture(scope='module')
def flips(tmp_path_factory):
    """Flip a bit of each byte of a file, all bits of every ninth; return (byte, bit, what reading gave or raised)."""
    path = tmp_path_factory.mktemp('flips') / 'model.npz'
    checkpoint.write(path, FLIPPED, {'epoch': 1})
    content = path.read_bytes()
    outcomes = []
    for position in range(len(content)):
        for bit in range(8) if position % 9 == 0 else [position % 8]:
            damaged = bytearray(content)
            damaged[position] ^= 1 << bit
            path.write_bytes(damaged)
            try:
                outcomes.append((position, bit, checkpoint.read(path)))
            except Exception as error:
                outcomes.append((position, bit, type(error).__name__))
    return outcomes


def test_a_flipped_bit_is_refused(flips):
    assert [outcome for outcome in flips if outcome[2] != 'CheckpointError'] == []


@pytest.mark.parametrize('name', ['weights_0', 'description'])
def test_object_arrays_are_refused(path, name):
    with open(path, 'wb') as file:
        np.savez(file, **{name: np.array([{'a': 1}, None], dtype=object)})
    with pytest.raises(CheckpointError) as caught:
        checkpoint.read(path)
    assert str(path) in str(caught.value)
    reason = str(caught.value).replace(str(path), '')
    assert 'allow_pickle' not in reason, 'no advice to load what is not safe'


@pytest.mark.parametrize('name', ['weights_0', 'description'])
@pytest.mark.parametrize('content', [b'', b'hello', b'<xml/>' * 50])
@pytest.mark.parametrize('reader', [checkpoint.read, checkpoint.read_description])
def test_a_zip_file_of_something_else(path, name, content, reader):
    path.write_bytes(npz(**{name: content}))
    if name == 'weights_0' and reader is checkpoint.read_description:
        assert reader(path) == {}
        return
    with pytest.raises(CheckpointError) as caught:
        reader(path)
    assert str(path) in str(caught.value)


def test_a_zip_file_of_documents(path):
    with zipfile.ZipFile(path, 'w') as file:
        file.writestr('word/document.xml', '<document/>')
    with pytest.raises(CheckpointError) as caught:
        checkpoint.read(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    'description',
    [
        'not JSON',
        '',
        '{"epoch": 1',
        '[1, 2]',
        'null',
        '"text"',
        '7',
        '[' * 100_000,
    ],
    ids=['words', 'empty', 'cut', 'list', 'null', 'text', 'number', 'deep'],
)
@pytest.mark.parametrize('reader', [checkpoint.read, checkpoint.read_description])
def test_description_that_is_no_json_object(path, description, reader):
    path.write_bytes(described(description, weights_0=np.ones(2)))
    with pytest.raises(CheckpointError) as caught:
        reader(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize('array', [np.array('{}'), np.array(b'{}'), np.array(1.5), np.zeros(3)], ids=repr)
def test_description_that_is_no_text(path, array):
    path.write_bytes(npz(description=array))
    with pytest.raises(CheckpointError, match='description'):
        checkpoint.read(path)


@pytest.mark.parametrize('version', [1, 3, None])
@pytest.mark.parametrize('reader', [checkpoint.read, checkpoint.read_description])
def test_a_file_of_another_format_is_refused_in_one_line(path, version, reader):
    path.write_bytes(described({'format': version}, weights_0=np.ones(2)))
    message = f'{path}: format {version}; this cnnx reads format 2: train again, or use the version that wrote it'
    with pytest.raises(CheckpointError) as caught:
        reader(path)
    assert str(caught.value) == message


@pytest.mark.parametrize('path', [5, None, 1.5, ['a']])
def test_a_path_that_is_none(path):
    for reader in (checkpoint.read, checkpoint.read_description, cnnx.Network.load):
        with pytest.raises(TypeError):
            reader(path)


@pytest.mark.skipif(not hasattr(os, 'mkfifo'), reason='named pipes are POSIX')
@pytest.mark.parametrize('reader', [checkpoint.read, checkpoint.read_description])
def test_a_named_pipe_or_a_device_is_no_file(tmp_path, reader):
    os.mkfifo(tmp_path / 'pipe.npz')
    for path in (tmp_path / 'pipe.npz', Path(os.devnull)):
        with pytest.raises(CheckpointError, match='not a file'):
            reader(path)


def test_no_such_file(path):
    for reader in (checkpoint.read, checkpoint.read_description):
        with pytest.raises(FileNotFoundError, match='model.npz'):
            reader(path)


def test_checkpoint_error_is_a_value_error():
    assert issubclass(CheckpointError, ValueError)


@pytest.mark.parametrize('step', ['_array', '_description', '_check_seal'])
def test_a_lack_of_memory_is_no_damage(path, monkeypatch, step):
    checkpoint.write(path, ARRAYS, DESCRIPTION)
    monkeypatch.setattr(files, step, fail(MemoryError()))
    for use in (checkpoint.read, cnnx.Network.load):
        with pytest.raises(MemoryError, match=r'model\.npz: not enough memory'):
            use(path)


def test_a_disk_that_cannot_be_read_is_damage(path, monkeypatch):
    checkpoint.write(path, ARRAYS)
    monkeypatch.setattr(files, '_check_seal', fail(OSError(errno.EIO, 'Input/output error')))
    with pytest.raises(CheckpointError, match='Input/output error'):
        checkpoint.read(path)


def test_a_file_can_be_moved_away_after_a_failed_read(path, monkeypatch):
    """No reader keeps a damaged file open: an unclosed file is a warning, and warnings are errors here."""
    path.write_bytes(described('not JSON'))
    with pytest.raises(CheckpointError):
        checkpoint.read(path)
    path.rename(path.with_suffix('.damaged'))
    assert not path.exists()


# Crafted files


def sealed(content):
    """Return the bytes of a zip file, closed with the checksum that belongs to it."""
    stream = io.BytesIO(content)
    with zipfile.ZipFile(stream, 'a') as file:
        file.comment = files.SEAL + files.DIGITS * b'0'
    content = stream.getvalue()
    return content[: -files.DIGITS] + hashlib.sha256(content[: -files.DIGITS]).hexdigest().encode()


def with_manifest(description, listed, **arrays):
    """Return a sealed file that lists some arrays and has others."""
    manifest = {name: {'dtype': array.dtype.str, 'shape': array.shape} for name, array in listed.items()}
    return sealed(described({'arrays': manifest, **description}, **arrays))


def header(text, data=b''):
    """Return the bytes of a .npy file with any header."""
    text = text.encode().ljust(53) + b'\n'
    return b'\x93NUMPY\1\0' + len(text).to_bytes(2, 'little') + text + data


def raw_zip(members, **options):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, 'w', **options) as file:
        for name, content in members:
            with warnings.catch_warnings():
                warnings.simplefilter('ignore')  # of names that are there twice
                file.writestr(name, content)
    return stream.getvalue()


ONES = np.ones(2)
EMPTY = header("{'descr':'<f8','fortran_order':False,'shape':(0,)}")
CRAFTED = {
    'an array that is not listed': with_manifest({}, {'x': ONES}, x=ONES, y=ONES),
    'a listed array that is missing': with_manifest({}, {'x': ONES, 'y': ONES}, x=ONES),
    'another dtype': with_manifest({}, {'x': ONES.astype('f4')}, x=ONES),
    'another shape': with_manifest({}, {'x': ONES[:, None]}, x=ONES),
    'no list': sealed(described({'epoch': 1}, x=ONES)),
    'no format': sealed(described({'format': None, 'arrays': {}})),
    'a format of text': sealed(described({'format': 'one', 'arrays': {}})),
    'a list of something else': sealed(described({'arrays': [1, 2]})),
    'junk at the end': with_manifest({}, {'x': ONES}, x=ONES) + b'junk',
    'junk in front': b'junk' + with_manifest({}, {'x': ONES}, x=ONES),
    'zeros': bytes(1000),
    'zeros at the end': with_manifest({}, {'x': ONES}, x=ONES)[:-100] + bytes(100),
    'an array that is there twice': raw_zip([('x.npy', EMPTY)] * 2),
    'a folder': raw_zip([('x/', b'')]),
    'an array beside a text': raw_zip([('x.txt', b'hello')]),
    'a shape larger than the data': npz(x=header("{'descr':'<f8','fortran_order':False,'shape':(9**9,)}")),
    'a huge shape': npz(x=header("{'descr':'<f8','fortran_order':False,'shape':(99999999999,)}")),
    'a negative shape': npz(x=header("{'descr':'<f8','fortran_order':False,'shape':(-1,)}", b'12345678')),
    'too many dimensions': npz(x=header("{'descr':'<f8','fortran_order':False,'shape':(0,)*99}")),
    'a smaller shape than the data': npz(x=header("{'descr':'<f8','fortran_order':False,'shape':(1,)}", bytes(99))),
    'a structured dtype': npz(x=np.zeros(2, [('a', 'f4'), ('b', 'i4')])),
    'dates': npz(x=np.zeros(2, 'M8[s]')),
    'complex numbers': npz(x=np.zeros(2, complex)),
    'a header that is a program': npz(x=header("__import__('os').abort()")),
    'a header that does not end': npz(x=header("{'descr':'<f8','fortran_order':False,'shape':(1,")),
    'a dtype that is no Python': npz(x=header("{'descr':'08','fortran_order':False,'shape':(1,)}")),
    'a header deeper than parsers go': npz(x=header('-' * 9000 + '1')),
    'a long header': npz(x=header("{'descr':'<f8','fortran_order':False,'shape':(0,)}" + ' ' * 5000)),
    'text': npz(x=np.array(['a', 'b'])),
    'a description that is no UTF-8': npz(description=np.full(3, 255, np.uint8)),
    'no header': npz(x=b'\x93NUMPY\1\0'),
    'a version of the future': npz(x=b'\x93NUMPY\x09\0' + bytes(99)),
    'nesting without end': sealed(described('[' * 100_000)),
    'a bomb': raw_zip([('x.npy', header("{'descr':'<f8','fortran_order':False,'shape':(99999999,)}", bytes(10**8)))],
                      compression=zipfile.ZIP_DEFLATED),
    'a bomb in the description': raw_zip([('description.npy', bytes(10**8))], compression=zipfile.ZIP_DEFLATED),
    'other compression': raw_zip([('x.npy', bytes(1000))], compression=zipfile.ZIP_LZMA),
}  # fmt: skip


@pytest.mark.parametrize('reader', [checkpoint.read, checkpoint.read_description])
@pytest.mark.parametrize('kind', CRAFTED)
def test_crafted_files_are_refused_without_much_time_or_memory(path, kind, reader):
    path.write_bytes(CRAFTED[kind])
    began = time.perf_counter()
    tracemalloc.start()
    try:
        reader(path)
    except CheckpointError as error:
        assert str(path) in str(error)
        assert 'pickle' not in str(error)
    else:
        # What stands beside the description is for `read` alone to look at.
        assert reader is checkpoint.read_description
        assert not kind.startswith(('a bomb', 'zeros'))
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 100e6
    assert time.perf_counter() - began < 1


def test_encrypted_members_are_refused(path):
    content = bytearray(npz(x=ONES))
    for mark, offset in ((b'PK\3\4', 6), (b'PK\1\2', 8)):
        content[content.index(mark) + offset] |= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"'x\.npy'.* is encrypted"):
        checkpoint.read(path)


def test_compressed_weights_of_others_are_read(path):
    arrays = {'weights_0': np.random.default_rng(0).random(1000), 'bias_0': np.zeros(1000)}
    np.savez_compressed(path, **arrays)
    assert_same_arrays(checkpoint.read(path)[0], arrays)
