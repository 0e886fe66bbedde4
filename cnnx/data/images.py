"""Your own images: picture files, such as PNG and JPEG, and .npz files of arrays.

Pillow decodes and scales images. It is imported at first use, and installed by the extra `images`.
"""

import contextlib
import os
import stat
import struct
import warnings
import zipfile
import zlib

import numpy as np

from cnnx.data.idx import GZIP_LARGEST_RATIO, O_NONBLOCK, SMALL, DataError

FORMATS = ('PNG', 'JPEG', 'BMP', 'WEBP', 'TIFF')
KINDS = 'PNG, JPEG, BMP, WebP or TIFF'
# The largest number of each type of pixels that are whole numbers.
LARGEST = {'bool': 1, 'uint8': 255, 'uint16': 65535}
MODES = {1: 'L', 3: 'RGB'}
# What Pillow raises for files that are damaged or malicious.
DAMAGE = (OSError, SyntaxError, ValueError, LookupError, TypeError, OverflowError, EOFError, struct.error, zlib.error)


def read_image(path, size=None, channels=1):
    """Read a PNG, JPEG, BMP, WebP or TIFF file, rotated by its EXIF tag, with transparent parts on white.

    Args:
        path: the path of the file, or a binary file that is open, such as io.BytesIO(content).
        size: (height, width) to scale it to, antialiased, without keeping its aspect ratio; a number for both; None
            does not scale.
        channels: 1 for grey, 3 for red, green and blue.

    Returns:
        (height, width, channels) float32 in [0, 1]; 1 is white.

    Raises:
        DataError: the file is of another kind, is damaged or animated, has several pages or floats as pixels, or has
            more pixels than Pillow's limit, `PIL.Image.MAX_IMAGE_PIXELS`.
        ImportError: Pillow is not installed.
        OSError: the file does not exist or cannot be opened.
        ValueError: size or channels is not of this form.
    """
    if channels not in MODES:
        raise ValueError(f'channels: expected 1 (grey) or 3 (colour), got {channels!r}')
    image = _decode(path, MODES[channels])
    if size is not None:
        height, width = checked_size(size)
        if image.size != (width, height):
            image = image.resize((width, height), pillow().Resampling.BICUBIC)
    pixels = np.asarray(image, np.float32) / 255
    return pixels.reshape(*pixels.shape[:2], channels)


def load_npz(path):
    """Load images x, labels y and, if present, the names `classes` from an .npz file.

    x is (N, height, width) or (N, height, width, channels): uint8 or uint16, which are divided by 255 or 65535; bool;
    or floats, which are taken as they are. y is (N,), whole numbers from 0.

    Returns:
        (x, labels, names): x (N, height, width, channels) float32; labels (N,) int; the names of the classes, which
            are '0', '1', ... where the file has none.

    Raises:
        DataError: the file is damaged, or its arrays are not of this form.
        OSError: the file does not exist or cannot be opened.
    """
    try:
        with open(path, 'rb') as file:
            arrays = _read_arrays(file, path)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, MemoryError, *DAMAGE) as error:
        if isinstance(error, DataError) or (isinstance(error, OSError) and error.errno is not None):
            raise
        raise DataError(f'{path}: not an .npz file of numbers, or a damaged one ({error})') from error
    x, y, names = (arrays.get(name) for name in ('x', 'y', 'classes'))
    if x is None or y is None:
        raise DataError(f'{path}: expected arrays x and y, got {", ".join(arrays) or "none"}')
    x = _checked_pixels(x, path)
    if y.shape != (len(x),) or y.dtype.kind not in 'iu' or y.min(initial=0) < 0:
        raise DataError(f'{path}: y: expected {len(x)} whole numbers from 0, one an image, got {y.dtype} {y.shape}')
    largest = int(y.max(initial=0))
    # The largest label sets the number of outputs: a wrong one, such as 10**9, would take all memory.
    if largest >= max(1000, len(y)):
        raise DataError(f'{path}: y: expected labels numbered from 0, got {largest} with {len(y)} images')
    names = tuple(map(str, range(largest + 1) if names is None else names.ravel()))
    if len(names) <= largest:
        raise DataError(f'{path}: classes: expected {largest + 1} names or more, got {len(names)}')
    return x, y.astype(np.intp), names


def scaled(pixels, what):
    """Return pixels as float32: whole numbers divided by the largest of their type, floats as they are.

    Whole numbers of 16 bits that are all at most 255 are bytes in a wider type.

    Raises:
        DataError: they are of another type, such as int64, whose range says nothing; it begins with `what`.
    """
    pixels = np.asarray(pixels)
    if pixels.dtype.kind != 'f' and pixels.dtype.name not in LARGEST:
        raise DataError(
            f'{what}: expected bytes or real numbers, got {pixels.dtype}; for pixels of 0 to 255: x.astype(numpy.uint8)'
        )
    found = pixels.astype(np.float32)
    if pixels.dtype.kind != 'f':
        found /= 255 if pixels.dtype.itemsize > 1 and pixels.max(initial=0) <= 255 else LARGEST[pixels.dtype.name]
    return found


def checked_size(size):
    """Return (height, width) from such a pair, or from one number for both."""
    sides = (size, size) if np.ndim(size) == 0 else tuple(size)
    if len(sides) != 2 or not all(
        isinstance(n, (int, np.integer)) and not isinstance(n, bool) and n >= 1 for n in sides
    ):
        raise ValueError(f'size: expected (height, width), whole numbers of at least 1, or one for both, got {size!r}')
    return int(sides[0]), int(sides[1])


def pillow():
    """Return the module PIL.Image, or raise an ImportError that says what to install."""
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError('images need Pillow: pip install pillow') from error
    return Image


def _decode(path, mode):
    """Read an image file; return an upright image of 8 bits, in mode L or RGB."""
    images = pillow()
    with _opened(path) as (file, path):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter('ignore', UserWarning)  # of unusual metadata
                warnings.simplefilter('error', images.DecompressionBombWarning)
                return _upright(images.open(file, formats=FORMATS), mode)
        except DataError as error:
            raise DataError(f'{path}: {error}') from None
        except images.UnidentifiedImageError as error:
            raise DataError(
                f'{path}: expected a {KINDS} file, got another kind or a damaged one; '
                'export HEIC photographs of phones as JPEG'
            ) from error
        except (images.DecompressionBombWarning, images.DecompressionBombError) as error:
            raise DataError(f'{path}: too many pixels ({error}); scale it down') from error
        except DAMAGE as error:
            raise DataError(f'{path}: damaged image ({error}); get a new copy') from error


@contextlib.contextmanager
def _opened(path):
    """A context with a file for reading, and what errors call it."""
    if hasattr(path, 'read'):
        yield path, 'picture'
        return
    # Opening a named pipe would wait for a writer.
    with open(path, 'rb', opener=lambda name, flags: os.open(name, flags | O_NONBLOCK)) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise DataError(f'{path}: not a file')
        yield file, path


def _upright(image, mode):
    from PIL import ImageOps

    # Of a JPEG file, the other pictures are previews.
    if image.format not in ('JPEG', 'MPO') and getattr(image, 'is_animated', False):
        raise DataError(f'expected a single picture, got {image.n_frames}, of an animation or of several pages')
    image.load()
    image = ImageOps.exif_transpose(image)
    if image.mode == 'F':
        raise DataError('expected whole numbers as pixels, got floats; save it with 8 or 16 bits a pixel')
    if image.mode.startswith('I'):
        image = _of_8_bits(image)
    if image.has_transparency_data:
        image = _on_plain_background(image.convert('RGBA'))
    return image.convert(mode)


def _of_8_bits(image):
    """Return a grey picture of 16 bits, which convert would clip at 255, in mode L, or LA if parts are transparent."""
    values = np.asarray(image).astype(np.int64).clip(0, 65535)
    grey = pillow().fromarray((values // 257).astype(np.uint8))
    transparent = image.info.get('transparency')
    if transparent is None:
        return grey
    return pillow().merge('LA', [grey, pillow().fromarray((255 * (values != transparent)).astype(np.uint8))])


def _on_plain_background(image):
    """Put a picture with transparent parts on white, or on black if on white it is all of one colour."""
    found = None
    for background in ('white', 'black'):
        found = pillow().new('RGBA', image.size, background)
        found.alpha_composite(image)
        if any(low < high for low, high in found.convert('RGB').getextrema()):
            break
    return found


def _read_arrays(file, path):
    """Return the arrays of an .npz file by name, or raise a DataError if it looks like a decompression bomb."""
    with zipfile.ZipFile(file) as archive:
        packed, plain = (
            sum(getattr(info, what) for info in archive.infolist()) for what in ('compress_size', 'file_size')
        )
    if plain > max(SMALL, packed * GZIP_LARGEST_RATIO):
        raise DataError(f'{path}: {packed:,} bytes announce {plain:,}; if you trust it, write it with numpy.savez')
    file.seek(0)
    with np.load(file, allow_pickle=False) as found:
        return {name: found[name] for name in ('x', 'y', 'classes') if name in found.files} or dict.fromkeys(
            found.files
        )


def _checked_pixels(x, path):
    if x.ndim == 3:
        x = x[..., np.newaxis]
    if x.ndim != 4 or x.size == 0:
        raise DataError(
            f'{path}: x: expected bytes or real numbers (N, height, width) or (N, height, width, channels), '
            f'got {x.dtype} {x.shape}'
        )
    x = scaled(x, f'{path}: x')
    if not np.isfinite(x).all():
        raise DataError(f'{path}: x: expected finite numbers, got NaN or infinity')
    return x
