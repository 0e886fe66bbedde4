"""PNG files of small images, without Pillow (format: W3C, Portable Network Graphics, third edition)."""

import struct
import zlib

import numpy as np

GREY, RGB = 0, 2
COLOUR_TYPES = {1: GREY, 3: RGB}


def as_png(image):
    """Return an image as the bytes of a PNG file.

    Args:
        image: (H, W, 1) or (H, W, 3) uint8.
    """
    height, width, channels = image.shape
    header = struct.pack('>2I5B', width, height, 8, COLOUR_TYPES[channels], 0, 0, 0)
    # Each row begins with the number of its filter: 0, none.
    rows = np.zeros((height, 1 + width * channels), np.uint8)
    rows[:, 1:] = image.reshape(height, width * channels)
    chunks = _chunk(b'IHDR', header), _chunk(b'IDAT', zlib.compress(rows.tobytes())), _chunk(b'IEND', b'')
    return b'\x89PNG\r\n\x1a\n' + b''.join(chunks)


def as_bytes(images, longest=None):
    """Return images as uint8: the smallest value, or 0, becomes black, the largest, or 1, white; NaN is black.

    Args:
        images: (N, H, W, C), any real dtype.
        longest: of larger images take every second pixel, or every third, ..., so that no side has more; None for all.
    """
    if longest is not None:
        step = -(-max(images.shape[1:3]) // longest)
        images = images[:, ::step, ::step]
    images = np.nan_to_num(images.astype(np.float64), posinf=0.0, neginf=0.0)
    low, high = min(images.min(initial=0.0), 0.0), max(images.max(initial=0.0), 1.0)
    return np.rint((images - low) * (255 / (high - low))).astype(np.uint8)


def _chunk(kind, content):
    return struct.pack('>I', len(content)) + kind + content + struct.pack('>I', zlib.crc32(kind + content))
