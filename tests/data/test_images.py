"""A user's own images: what is read, what is refused, and digits prepared as MNIST's were."""

import io
import os
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest

pytest.importorskip('PIL')
from PIL import Image

from cnnx.data import DataError, load_npz, read_image
from cnnx.data.images import FORMATS, scaled
from tools.photograph_digits import STORED, save_photo


@pytest.fixture
def rng():
    return np.random.default_rng(1)


def gradient(height=20, width=30):
    return np.linspace(0, 255, height * width).reshape(height, width).astype(np.uint8)


def png_of(*chunks):
    """Return a PNG file of these (type, content)."""
    packed = [
        struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data)) for kind, data in chunks
    ]
    return b'\x89PNG\r\n\x1a\n' + b''.join(packed)


# Reading a file


@pytest.mark.parametrize('suffix', ['.png', '.jpg', '.bmp', '.webp', '.tif', '.tiff'])
def test_a_grey_image_becomes_numbers_from_0_to_1(tmp_path, suffix):
    path = tmp_path / f'image{suffix}'
    Image.fromarray(gradient()).save(path, quality=100)
    pixels = read_image(path)
    assert pixels.shape == (20, 30, 1)
    assert pixels.dtype == np.float32
    np.testing.assert_allclose(pixels[..., 0], gradient() / 255, atol=0.02 if suffix in ('.jpg', '.webp') else 0)


def test_colours(tmp_path):
    Image.new('RGB', (3, 2), (255, 0, 51)).save(tmp_path / 'red.png')
    assert read_image(tmp_path / 'red.png', channels=3)[0, 0].tolist() == pytest.approx([1, 0, 0.2])
    assert read_image(tmp_path / 'red.png').shape == (2, 3, 1)


@pytest.mark.parametrize(
    ('convert', 'tolerance'),
    [
        (lambda image: image.convert('P'), 0.01),
        (lambda image: image.convert('RGB'), 0),
        (lambda image: image.convert('RGBA'), 0),
        (lambda image: image.convert('LA'), 0),
        (lambda image: Image.fromarray(np.asarray(image).astype(np.uint16) * 257), 0),
    ],
    ids=['palette', 'RGB', 'RGBA', 'LA', '16 bits'],
)
def test_kinds_of_pixels(tmp_path, convert, tolerance):
    convert(Image.fromarray(gradient())).save(tmp_path / 'image.png')
    np.testing.assert_allclose(read_image(tmp_path / 'image.png')[..., 0], gradient() / 255, atol=tolerance + 1e-6)


def png_with_transparent_colour(grey, bits, transparent):
    """Return a PNG file of grey values (H, W) of 8 or 16 bits, one of which is transparent."""
    rows = b''.join(b'\0' + row.astype(f'>u{bits // 8}').tobytes() for row in grey)
    return png_of(
        (b'IHDR', struct.pack('>IIBBBBB', *grey.shape[::-1], bits, 0, 0, 0, 0)),
        (b'tRNS', struct.pack('>H', transparent)),
        (b'IDAT', zlib.compress(rows)),
        (b'IEND', b''),
    )


@pytest.mark.parametrize('transparent', [0, 200, 7])
def test_16_bits_with_a_transparent_colour_are_read_as_8_bits_are(tmp_path, transparent):
    grey = np.full((8, 6), 100, np.uint8)
    grey[:, :2], grey[1:7, 3] = 0, 200
    (tmp_path / '8.png').write_bytes(png_with_transparent_colour(grey, 8, transparent))
    (tmp_path / '16.png').write_bytes(png_with_transparent_colour(grey.astype(np.uint16) * 257, 16, transparent * 257))
    expected = np.where(grey == transparent, 1, grey / 255)
    for name in ('8.png', '16.png'):
        np.testing.assert_allclose(read_image(tmp_path / name)[..., 0], expected, atol=1e-6)


def test_tiff_of_16_bits(tmp_path):
    Image.fromarray(gradient().astype(np.uint16) * 257).save(tmp_path / 'image.tif')
    np.testing.assert_allclose(read_image(tmp_path / 'image.tif')[..., 0], gradient() / 255, atol=1e-6)


def test_one_bit(tmp_path):
    Image.fromarray(gradient() > 99).save(tmp_path / 'image.png')
    np.testing.assert_array_equal(read_image(tmp_path / 'image.png')[..., 0], gradient() > 99)


@pytest.mark.parametrize('ink', [0, 255], ids=['black', 'white'])
@pytest.mark.parametrize('mode', ['RGBA', 'LA', 'P'])
def test_what_is_transparent_is_the_background(tmp_path, mode, ink):
    """Drawing programs save strokes without paper; white ones would be lost on white."""
    alpha = np.zeros((20, 20), np.uint8)
    alpha[5:15, 8:12] = 255
    image = Image.merge('LA', [Image.new('L', (20, 20), ink), Image.fromarray(alpha)])
    if mode == 'P':
        palette = Image.fromarray((alpha > 0).astype(np.uint8))
        palette.putpalette([ink] * 6)
        palette.save(tmp_path / 'image.png', transparency=0)
    else:
        image.convert(mode).save(tmp_path / 'image.png')
    np.testing.assert_array_equal(read_image(tmp_path / 'image.png')[..., 0], (alpha > 0) == (ink == 255))


@pytest.mark.parametrize('orientation', STORED)
def test_exif_turns_the_picture(tmp_path, orientation):
    path = save_photo(tmp_path / 'photo.png', gradient() / 255, orientation)
    np.testing.assert_allclose(read_image(path)[..., 0], gradient() / 255, atol=0.005)


def test_scaling(tmp_path):
    Image.fromarray(gradient()).save(tmp_path / 'image.png')
    assert read_image(tmp_path / 'image.png', (7, 5), 3).shape == (7, 5, 3)
    np.testing.assert_array_equal(read_image(tmp_path / 'image.png', 7), read_image(tmp_path / 'image.png', [7, 7]))


@pytest.mark.parametrize('size', [(0, 5), (5,), (5.0, 5), 0, 5.0, True, (True, 5), '64'])
def test_a_size_that_cannot_be(tmp_path, size):
    Image.fromarray(gradient()).save(tmp_path / 'image.png')
    with pytest.raises(ValueError, match='size: expected'):
        read_image(tmp_path / 'image.png', size)
    with pytest.raises(ValueError, match='channels: expected 1'):
        read_image(tmp_path / 'image.png', channels=2)


def test_a_file_that_is_open(tmp_path):
    Image.fromarray(gradient()).save(tmp_path / 'image.png')
    content = (tmp_path / 'image.png').read_bytes()
    np.testing.assert_array_equal(read_image(io.BytesIO(content)), read_image(tmp_path / 'image.png'))
    with pytest.raises(DataError, match='^picture: expected a PNG, JPEG'):
        read_image(io.BytesIO(b'hello'))


# Hostile files


def saved(**options):
    file = io.BytesIO()
    Image.fromarray(gradient(60, 80)).save(file, **options)
    return file.getvalue()


def animation(format):
    file = io.BytesIO()
    frames = [Image.fromarray(gradient()), Image.fromarray(255 - gradient())]
    frames[0].save(file, format=format, save_all=True, append_images=frames[1:])
    return file.getvalue()


def tiff_of_floats():
    file = io.BytesIO()
    Image.fromarray(gradient().astype(np.float32)).save(file, format='TIFF')
    return file.getvalue()


def bomb(side=20_000):
    head = struct.pack('>IIBBBBB', side, side, 8, 0, 0, 0, 0)
    return png_of((b'IHDR', head), (b'IDAT', zlib.compress(bytes(side + 1), 9)), (b'IEND', b''))


HOSTILE = {
    'empty': (b'', 'expected a PNG, JPEG'),
    'text': (b'hello' * 99, 'expected a PNG, JPEG'),
    'GIF': (saved(format='GIF'), 'expected a PNG, JPEG'),
    'TIFF of floats': (tiff_of_floats(), 'expected whole numbers as pixels'),
    'half a TIFF': (saved(format='TIFF')[:500], 'damaged'),
    'half a BMP': (saved(format='BMP')[:500], 'damaged'),
    'half a WebP': (saved(format='WEBP')[:60], 'damaged'),
    'HEIC': (b'\0\0\0\x18ftypheic' + bytes(99), 'HEIC'),
    'half a PNG': (saved(format='PNG')[:-60], 'damaged'),
    'half a JPEG': (saved(format='JPEG')[:500], 'damaged'),
    'head of a PNG alone': (saved(format='PNG')[:40], 'PNG'),
    'wrong checksum': (saved(format='PNG').replace(b'IHDR\0\0\0P', b'IHDR\0\0\0Q'), 'PNG'),
    'animated': (animation('PNG'), 'expected a single picture, got 2'),
    'animated WebP': (animation('WEBP'), 'expected a single picture, got 2'),
    'TIFF of two pages': (animation('TIFF'), 'expected a single picture, got 2'),
    'bomb': (bomb(), 'too many pixels'),
    'smaller bomb': (bomb(10_000), 'too many pixels'),
    'bomb of text': (
        png_of(
            (b'IHDR', struct.pack('>IIBBBBB', 4, 4, 8, 0, 0, 0, 0)),
            (b'zTXt', b'x\0\0' + zlib.compress(bytes(1 << 26), 9)),
            (b'IDAT', zlib.compress(bytes(20))),
            (b'IEND', b''),
        ),
        'damaged',
    ),
}


@pytest.mark.parametrize('kind', HOSTILE)
def test_hostile_files_are_refused_with_their_name(tmp_path, kind):
    content, words = HOSTILE[kind]
    path = tmp_path / 'picture.png'
    path.write_bytes(content)
    with pytest.raises(DataError, match=words) as caught:
        read_image(path)
    assert str(caught.value).startswith(f'{path}: ')


@pytest.mark.parametrize('format', FORMATS)
def test_damage_anywhere_is_refused_or_harmless(tmp_path, rng, format):
    content = saved(format=format)
    path = tmp_path / 'picture'
    for _ in range(300):
        damaged = bytearray(content)
        for at in rng.integers(0, len(content), 3):
            damaged[at] = rng.integers(0, 256)
        path.write_bytes(damaged[: rng.integers(1, 2 * len(content))])
        try:
            assert np.isfinite(read_image(path)).all()
        except DataError as error:
            assert str(path) in str(error)


@pytest.mark.skipif(not hasattr(os, 'mkfifo'), reason='named pipes are POSIX')
def test_a_named_pipe_is_no_file(tmp_path):
    os.mkfifo(tmp_path / 'pipe.png')
    with pytest.raises(DataError, match='not a file'):
        read_image(tmp_path / 'pipe.png')


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match='nothing.png'):
        read_image(tmp_path / 'nothing.png')


def test_without_pillow_the_error_says_what_to_install(tmp_path):
    code = """
import sys
sys.modules['PIL'] = None
from cnnx.data import preprocess_mnist_data, read_image
preprocess_mnist_data()
try:
    read_image('x.png')
except ImportError as error:
    print(error)
"""
    result = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert 'pip install pillow' in result.stdout, result.stderr


# .npz files


def npz(path, **arrays):
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize('shape', [(5, 8, 8), (5, 8, 8, 1), (5, 8, 8, 3)], ids=str)
@pytest.mark.parametrize(
    ('dtype', 'largest'), [('uint8', 255), ('uint16', 65535), ('>u2', 65535), ('float32', 1), ('float64', 1), (bool, 1)]
)
def test_an_npz_of_x_and_y(tmp_path, shape, dtype, largest):
    x = np.random.default_rng(0).integers(0, max(256, largest + 1), shape).astype(dtype)
    found, labels, names = load_npz(npz(tmp_path / 'data.npz', x=x, y=np.array([0, 2, 1, 0, 2])))
    assert found.shape == (*shape, 1)[:4]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.reshape(shape), x.astype(float) / largest, rtol=1e-6)
    assert labels.tolist() == [0, 2, 1, 0, 2]
    assert names == ('0', '1', '2')


def test_bytes_may_be_stored_with_16_bits():
    assert (
        scaled(np.array([0, 51, 255], np.uint16), 'x').tolist()
        == scaled(np.array([0, 51, 255], np.uint8), 'x').tolist()
    )


def test_whole_numbers_whose_type_says_no_range_are_refused():
    for dtype in ('int8', 'int64', 'uint32'):
        with pytest.raises(DataError, match=f'x: expected bytes or real numbers, got {dtype}; for pixels of'):
            scaled(np.zeros(3, dtype), 'x')


def test_an_npz_may_name_its_classes(tmp_path):
    x, y = np.zeros((2, 4, 4)), np.array([0, 1])
    assert load_npz(npz(tmp_path / 'data.npz', x=x, y=y, classes=['a', 'b', 'c']))[2] == ('a', 'b', 'c')
    with pytest.raises(DataError, match='classes: expected 2 names or more, got 1'):
        load_npz(npz(tmp_path / 'data.npz', x=x, y=y, classes=['a']))


@pytest.mark.parametrize(
    ('arrays', 'words'),
    [
        ({'a': np.zeros(3)}, 'expected arrays x and y, got a'),
        ({'x': np.zeros((3, 4)), 'y': np.zeros(3, int)}, r'x: expected bytes or real numbers'),
        ({'x': np.zeros((3, 4, 4), int), 'y': np.zeros(3, int)}, r'x: expected bytes or real numbers.*int64'),
        ({'x': np.full((3, 4, 4), np.nan), 'y': np.zeros(3, int)}, 'x: expected finite'),
        ({'x': np.zeros((3, 4, 4)), 'y': np.zeros(2, int)}, 'y: expected 3 whole numbers'),
        ({'x': np.zeros((3, 4, 4)), 'y': np.zeros(3)}, 'y: expected 3 whole numbers'),
        ({'x': np.zeros((3, 4, 4)), 'y': np.array([0, 1, -1])}, 'y: expected 3 whole numbers from 0'),
        ({'x': np.zeros((3, 4, 4)), 'y': np.array([0, 1, 10**9])}, 'y: expected labels numbered from 0'),
        ({'x': np.array([{}]), 'y': np.zeros(3, int)}, 'not an .npz file of numbers'),
    ],
)
def test_an_npz_of_something_else(tmp_path, arrays, words):
    path = npz(tmp_path / 'data.npz', **arrays)
    with pytest.raises(DataError, match=words) as caught:
        load_npz(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize('content', [b'', b'PK', b'hello' * 100])
def test_an_npz_that_is_none(tmp_path, content):
    (tmp_path / 'data.npz').write_bytes(content)
    with pytest.raises(DataError, match='data.npz: not an .npz'):
        load_npz(tmp_path / 'data.npz')


def test_a_damaged_npz(tmp_path, rng):
    x = rng.integers(0, 256, (20, 8, 8), np.uint8)
    path = tmp_path / 'data.npz'
    np.savez_compressed(path, x=x, y=np.arange(20))
    content = path.read_bytes()
    for _ in range(300):
        damaged = bytearray(content)
        for at in rng.integers(0, len(content), 3):
            damaged[at] = rng.integers(0, 256)
        path.write_bytes(damaged[: rng.integers(1, 2 * len(content))])
        try:
            load_npz(path)
        except DataError as error:
            assert str(path) in str(error)


def test_an_npz_bomb(tmp_path):
    np.savez_compressed(tmp_path / 'data.npz', x=np.zeros((2000, 100, 100), np.uint8), y=np.zeros(2000, int))
    with pytest.raises(DataError, match='announce 20,0'):
        load_npz(tmp_path / 'data.npz')
