"""Scenes for segmentation and detection: digits of several sizes on a canvas with clutter and noise."""

import functools
import math
from typing import NamedTuple

import numpy as np

BACKGROUND = 10  # its class in class maps
INKED = 0.4  # a pixel belongs to a digit where the digit is at least this bright
TRIES = 40  # places that are tried for a digit before it is left out


class Scenes(NamedTuple):
    """Images with the truth about them; a scene has one to five digits, or as `make_scenes` was asked.

    images: (N, size, size, 1) float32, mostly from 0 to 1; noise goes beyond.
    class_maps: (N, size, size) uint8, the digit at each pixel, or 10 for the background.
    boxes: a list of N arrays (digits, 4) float32: top, left, bottom, right in pixels, around the ink of each digit.
    labels: a list of N arrays (digits,) of whole numbers, which digit is in each box.
    """

    images: np.ndarray
    class_maps: np.ndarray
    boxes: list
    labels: list


def make_scenes(images, labels, count, *, seed=0, size=96, digits=(1, 5), lengths=(14, 40), overlap=0.2, noise=0.1):
    """Draw scenes of digits with strokes and specks as clutter, Gaussian noise, class maps and boxes.

    Each digit is cut out, scaled so that its longer side has a random length, and put at a random place. Where digits
    overlap, the brighter one is seen. Scene i depends on seed and i alone, not on count.

    Args:
        images: digits, (M, H, W, 1) or (M, H, W), bright on 0, from 0 to 1.
        labels: which digits they are, (M,), or one-hot rows (M, 10).
        count: number of scenes.
        seed: a whole number of at least 0.
        size: height and width of a scene, in pixels.
        digits: the least and the greatest number of digits. Those that find no place are left out, except the first.
        lengths: the least and the greatest longer side of a digit, in pixels.
        overlap: the largest part of a digit's box that another box may cover, from 0 to 1.
        noise: standard deviation of the noise that is added to each pixel.

    Returns:
        `Scenes`.

    Raises:
        ValueError: images are not of digits, labels do not fit them, or a range is empty or too large for the canvas.
    """
    images, labels = _checked_digits(images, labels)
    if not 1 <= digits[0] <= digits[1] or not 1 <= lengths[0] <= lengths[1] <= size:
        raise ValueError(
            f'make_scenes: expected digits of at least 1 and lengths from 1 to the size, {size}, the least first; '
            f'got digits={digits}, lengths={lengths}'
        )
    scenes = Scenes(np.empty((count, size, size, 1), np.float32), np.empty((count, size, size), np.uint8), [], [])
    for i in range(count):
        rng = np.random.default_rng((seed, i))
        ink, class_map, boxes, classes = _place_digits(images, labels, rng, size, digits, lengths, overlap)
        canvas = np.maximum(ink, _clutter(rng, size)) + rng.normal(0, noise, ink.shape)
        scenes.images[i, ..., 0], scenes.class_maps[i] = canvas, class_map
        scenes.boxes.append(np.array(boxes, np.float32))
        scenes.labels.append(np.array(classes))
    return scenes


def _checked_digits(images, labels):
    images, labels = np.asarray(images), np.asarray(labels)
    images = images[..., 0] if images.ndim == 4 else images
    labels = labels.argmax(axis=1) if labels.ndim == 2 else labels
    if images.ndim != 3 or labels.shape != (len(images),) or not len(images):
        raise ValueError(f'make_scenes: expected images (M, H, W, 1) and M labels, got {images.shape}, {labels.shape}')
    empty = np.flatnonzero(images.max(axis=(1, 2)) < INKED)
    if len(empty):
        raise ValueError(f'make_scenes: image {empty[0]} is empty: no pixel of it is {INKED} or more')
    return images, labels


def _place_digits(images, labels, rng, size, digits, lengths, overlap):
    """Return the ink (size, size), the class map, and the boxes and labels of the digits that found a place."""
    ink, class_map = np.zeros((size, size)), np.full((size, size), BACKGROUND, np.uint8)
    boxes, classes = [], []
    for _ in range(rng.integers(digits[0], digits[1] + 1)):
        index = rng.integers(len(images))
        cut_out = _cut_out(images[index])
        for _ in range(TRIES):
            height, width = _scaled_shape(cut_out.shape, int(rng.integers(lengths[0], lengths[1] + 1)))
            top, left = int(rng.integers(0, size - height + 1)), int(rng.integers(0, size - width + 1))
            box = (top, left, top + height, left + width)
            if all(_covered(box, other) <= overlap for other in boxes):
                digit = _scaled(cut_out, height, width)
                window = (slice(top, box[2]), slice(left, box[3]))
                class_map[window][(digit > ink[window]) & (digit >= INKED)] = labels[index]
                ink[window] = np.maximum(ink[window], digit)
                boxes.append(box)
                classes.append(labels[index])
                break
    return ink, class_map, boxes, classes


def _cut_out(image):
    """Return the part of an image that its digit is in."""
    rows, columns = np.nonzero(image >= INKED)
    return image[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]


def _scaled_shape(shape, length):
    """Return the height and width of a digit that is scaled until its longer side is of a length."""
    return [max(1, round(side * length / max(shape))) for side in shape]


def _scaled(digit, height, width):
    return _interpolation(height, digit.shape[0]) @ digit @ _interpolation(width, digit.shape[1]).T


@functools.lru_cache(maxsize=4096)
def _interpolation(new, old):
    """Return the matrix (new, old) that scales a row linearly, averaging where it becomes shorter."""
    middles = (np.arange(new) + 0.5) * old / new - 0.5
    weights = np.maximum(0, 1 - np.abs(np.arange(old) - middles[:, np.newaxis].clip(0, old - 1)) / max(1, old / new))
    return weights / weights.sum(axis=1, keepdims=True)


def _covered(box, other):
    """Return which part of the smaller of two boxes the other covers, from 0 to 1."""
    height, width = min(box[2], other[2]) - max(box[0], other[0]), min(box[3], other[3]) - max(box[1], other[1])
    if height <= 0 or width <= 0:
        return 0
    return height * width / min((box[2] - box[0]) * (box[3] - box[1]), (other[2] - other[0]) * (other[3] - other[1]))


def _pixels(a, b, size):
    """Return a slice of the pixels from 2 before the lesser of two places to 2 after the greater one, on the canvas."""
    first, last = min(a, b) - 2, max(a, b) + 3
    return slice(min(size, max(0, int(first))), min(size, max(0, int(last) + 1)))


def _clutter(rng, size):
    """Return 10 to 16 straight strokes and, on 96 x 96 pixels, 5 to 15 round specks: (size, size), from 0 to 1."""
    clutter, area = np.zeros((size, size)), (size / 96) ** 2
    # Each is its length and half its width.
    kinds = [(rng.uniform(10, 40), rng.uniform(0.5, 1.2)) for _ in range(rng.integers(10, 17))]
    kinds += [(0, rng.uniform(0.5, 1.5)) for _ in range(round(rng.integers(5, 16) * area))]
    for length, half in kinds:
        (row, column), angle = rng.uniform(0, size, 2), rng.uniform(0, np.pi)
        down, right = math.sin(angle), math.cos(angle)
        # Nothing of it is farther than 2 pixels from the line between its ends.
        rows = _pixels(row, row + length * down, size)
        columns = _pixels(column, column + length * right, size)
        y, x = (np.arange(rows.start, rows.stop) - row)[:, np.newaxis], np.arange(columns.start, columns.stop) - column
        along = np.minimum(np.maximum(y * down + x * right, 0), length)
        distance = np.hypot(y - along * down, x - along * right)
        ink = rng.uniform(0.5, 1) * np.minimum(np.maximum(half + 0.5 - distance, 0), 1)
        np.maximum(clutter[rows, columns], ink, out=clutter[rows, columns])
    return clutter
