"""Your own images: PNG and JPEG files, folders with a folder for each class, and .npz files of arrays.

Pillow decodes and scales images. It is imported at first use, and installed by the extra `images`.
"""

import os
import stat
import struct
import warnings
import zipfile
import zlib
from pathlib import Path

import numpy as np

from cnnx.data.idx import GZIP_LARGEST_RATIO, O_NONBLOCK, SMALL, DataError

SUFFIXES = ('.png', '.jpg', '.jpeg')
MODES = {1: 'L', 3: 'RGB'}
# What Pillow raises for files that are damaged or malicious.
DAMAGE = (OSError, SyntaxError, ValueError, LookupError, TypeError, OverflowError, EOFError, struct.error, zlib.error)


def read_image(path, size=None, channels=1):
    """Read a PNG or JPEG file, rotated by its EXIF tag, with transparent parts on white.

    Args:
        path: the path of the file.
        size: (height, width) to scale it to, antialiased, without keeping its aspect ratio; None does not scale.
        channels: 1 for grey, 3 for red, green and blue.

    Returns:
        (height, width, channels) float32 in [0, 1]; 1 is white.

    Raises:
        DataError: the file is not a PNG or JPEG file, is damaged or animated, or has more pixels than Pillow's limit,
            `PIL.Image.MAX_IMAGE_PIXELS`.
        ImportError: Pillow is not installed.
        OSError: the file does not exist or cannot be opened.
        ValueError: size or channels is not of this form.
    """
    if channels not in MODES:
        raise ValueError(f'channels: expected 1 (grey) or 3 (colour), got {channels!r}')
    image = _decode(path, MODES[channels])
    if size is not None:
        height, width = _checked_size(size)
        if image.size != (width, height):
            image = image.resize((width, height), pillow().Resampling.BICUBIC)
    pixels = np.asarray(image, np.float32) / 255
    return pixels.reshape(*pixels.shape[:2], channels)


def load_folder(folder, size=(28, 28), channels=1, prepare=None):
    """Load PNG and JPEG files from a folder that has a folder for each class: FOLDER/CLASS/*.png.

    Classes and files are sorted by name. Other files, and names that begin with a dot, are skipped.

    Args:
        folder: the folder that holds the folders of the classes.
        size: (height, width) that images are scaled to, without keeping their aspect ratio.
        channels: 1 for grey, 3 for red, green and blue.
        prepare: a function that takes a path and returns an image (height, width, channels); it is called for each
            file instead of `read_image`.

    Returns:
        (x, labels, names): x (N, height, width, channels) float32 in [0, 1]; labels (N,) int; the names of the classes.

    Raises:
        DataError: there are fewer than two classes, one has no images, or an image cannot be read.
        ImportError, OSError, ValueError: see `read_image`.
    """
    folder = Path(folder)
    classes = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith('.'))
    if len(classes) < 2:
        raise DataError(
            f'{folder}: expected a folder for each of two classes or more, with PNG or JPEG files, got {len(classes)}'
        )
    files = [(path, label) for label, inside in enumerate(classes) for path in _images_in(inside)]
    height, width = _checked_size(size)
    x = np.empty((len(files), height, width, channels), np.float32)
    for i, (path, _) in enumerate(files):
        x[i] = read_image(path, size, channels) if prepare is None else prepare(path)
    return x, np.array([label for _, label in files]), tuple(path.name for path in classes)


def load_npz(path):
    """Load images x, labels y and, if present, the names `classes` from an .npz file.

    x is (N, height, width) or (N, height, width, channels): uint8, which is divided by 255, or floats, which are taken
    as they are. y is (N,), whole numbers from 0.

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


def pillow():
    """Return the module PIL.Image, or raise an ImportError that says what to install."""
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError('images need Pillow: pip install "cnnx[images]", or pip install pillow') from error
    return Image


def _decode(path, mode):
    """Read an image file; return an upright image of 8 bits, in mode L or RGB."""
    images = pillow()
    # Opening a named pipe would wait for a writer.
    with open(path, 'rb', opener=lambda name, flags: os.open(name, flags | O_NONBLOCK)) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise DataError(f'{path}: not a file')
        try:
            with warnings.catch_warnings():
                warnings.simplefilter('error', images.DecompressionBombWarning)
                return _upright(images.open(file, formats=('PNG', 'JPEG')), mode)
        except DataError as error:
            raise DataError(f'{path}: {error}') from None
        except images.UnidentifiedImageError as error:
            raise DataError(
                f'{path}: expected a PNG or JPEG file, got another kind or a damaged one; '
                'export HEIC photographs of phones as JPEG'
            ) from error
        except (images.DecompressionBombWarning, images.DecompressionBombError) as error:
            raise DataError(f'{path}: too many pixels ({error}); scale it down') from error
        except DAMAGE as error:
            raise DataError(f'{path}: damaged image ({error}); get a new copy') from error


def _upright(image, mode):
    from PIL import ImageOps

    if image.format == 'PNG' and getattr(image, 'is_animated', False):
        raise DataError(f'expected a single picture, got {image.n_frames} of an animation')
    image.load()
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith('I'):  # 16 bits, which convert would clip at 255
        image = pillow().fromarray((np.asarray(image).astype(np.int64).clip(0, 65535) // 257).astype(np.uint8))
    if image.has_transparency_data:
        image = _on_plain_background(image.convert('RGBA'))
    return image.convert(mode)


def _on_plain_background(image):
    """Put a picture with transparent parts on white, or on black if on white it is all of one colour."""
    found = None
    for background in ('white', 'black'):
        found = pillow().new('RGBA', image.size, background)
        found.alpha_composite(image)
        if any(low < high for low, high in found.convert('RGB').getextrema()):
            break
    return found


def _images_in(folder):
    found = sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in SUFFIXES and not path.name.startswith('.') and path.is_file()
    )
    if not found:
        raise DataError(f'{folder}: expected images of this class, ending in {", ".join(SUFFIXES)}, got none')
    return found


def _checked_size(size):
    if len(size) != 2 or not all(isinstance(n, (int, np.integer)) and n >= 1 for n in size):
        raise ValueError(f'size: expected (height, width) of whole numbers of at least 1, got {size!r}')
    return int(size[0]), int(size[1])


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
    if x.ndim != 4 or x.size == 0 or (x.dtype != np.uint8 and x.dtype.kind != 'f'):
        raise DataError(
            f'{path}: x: expected bytes or real numbers (N, height, width) or (N, height, width, channels), '
            f'got {x.dtype} {x.shape}'
        )
    if x.dtype == np.uint8:
        return x.astype(np.float32) / 255
    x = x.astype(np.float32)
    if not np.isfinite(x).all():
        raise DataError(f'{path}: x: expected finite numbers, got NaN or infinity')
    return x
