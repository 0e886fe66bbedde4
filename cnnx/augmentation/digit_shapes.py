"""Augmentation for handwritten digits: shapes that MNIST has few of, a 7 with a bar, a 1 with flag and base."""

import math

import numpy as np

from cnnx._util.validation import non_negative
from cnnx.augmentation.base import Augmentation

INKED = 0.3  # the least value of a pixel that belongs to a digit
THINNEST, THICKEST = 1.2, 3.5  # of drawn strokes, in pixels
# A 1 gets a base alone, a flag alone, or both, with these probabilities.
BASE_ALONE, FLAG_ALONE = 0.2, 0.5


class DigitShapes(Augmentation):
    """Draw a bar across some sevens, and a flag, a base or both on some ones: shapes that MNIST has few of.

    For white digits on black of about MNIST's size, with labels from 0 to 9. Strokes are about as wide as those of the
    digit. All sizes and angles are uniform: bars are 5 to 12 pixels long and up to 20 degrees from horizontal, bases 5
    to 13 pixels long, flags 3 to 9 pixels long and 20 to 70 degrees below horizontal.

    Args:
        probability: the probability that a 1 or a 7 is changed, from 0 to 1.

    Raises:
        ValueError: the argument is out of its range.
    """

    numbers = 7

    def __init__(self, probability=0.25):
        self.probability = non_negative(probability, 'probability', below=math.nextafter(1, 2))

    def change(self, x, numbers, targets):
        """Draw on images (N, H, W, C), in place.

        Args:
            x: the images.
            numbers: random numbers, at least 0 and less than 1, (self.numbers, N).
            targets: their labels (N,) or one-hot rows (N, 10).

        Raises:
            ValueError: there are no targets.
        """
        if targets is None:
            raise ValueError('DigitShapes: expected labels beside the images')
        labels = targets.argmax(axis=1) if targets.ndim == 2 else targets
        chosen = numbers[0] < self.probability
        for label, draw in ((1, _flag_and_base), (7, _bar)):
            (index,) = np.nonzero(chosen & (labels == label))
            if len(index):
                drawn = draw(x[index].max(axis=3), numbers[1:, index])
                x[index] = np.maximum(x[index], drawn[..., None].astype(x.dtype))


def _bar(ink, numbers):
    """Return what is drawn on sevens (n, H, W)."""
    top, bottom = _ends(ink.max(axis=2))
    row = top + _between(0.4, 0.68, numbers[0]) * (bottom - top)
    middle = _middle(ink, row.round().astype(int)) + _between(-1.5, 1.5, numbers[1])
    half, angle = _between(2.5, 6, numbers[2]), np.radians(_between(-20, 20, numbers[3]))
    rows, columns = half * np.sin(angle), half * np.cos(angle)
    return _strokes(ink, (row - rows, middle - columns), (row + rows, middle + columns), numbers[4])


def _flag_and_base(ink, numbers):
    """Return what is drawn on ones (n, H, W)."""
    top, bottom = _ends(ink.max(axis=2))
    middle, half, tilt = _middle(ink, bottom), _between(2.5, 6.5, numbers[0]), _between(-0.7, 0.7, numbers[1])
    base = _strokes(ink, (bottom - tilt, middle - half), (bottom + tilt, middle + half), numbers[4])
    middle, length, angle = _middle(ink, top), _between(3, 9, numbers[2]), np.radians(_between(20, 70, numbers[3]))
    end = top + length * np.sin(angle), middle - length * np.cos(angle)
    flag = _strokes(ink, (top, middle), end, numbers[4])
    which = numbers[5][:, None, None]
    with_base, with_flag = (which < BASE_ALONE) | (which >= BASE_ALONE + FLAG_ALONE), which >= BASE_ALONE
    return np.maximum(base * with_base, flag * with_flag)


def _strokes(ink, start, end, numbers):
    """Return a straight stroke from start to end, each (rows, columns), on each of the images (n, H, W)."""
    thickness = _thickness(ink).clip(THINNEST, THICKEST) * _between(0.8, 1.1, numbers)
    places = np.indices(ink.shape[1:])
    (top, left), (rows, columns) = (
        [place[:, None, None] for place in pair] for pair in (start, np.subtract(end, start))
    )
    down, right = places[0] - top, places[1] - left
    along = ((down * rows + right * columns) / (rows**2 + columns**2)).clip(0, 1)
    distance = np.hypot(down - along * rows, right - along * columns)
    return (thickness[:, None, None] / 2 + 0.5 - distance).clip(0, 1)


def _ends(profiles):
    """Return the first and the last place of each row that is inked."""
    inked = profiles > INKED
    return inked.argmax(axis=1), inked.shape[1] - 1 - inked[:, ::-1].argmax(axis=1)


def _middle(ink, rows):
    """Return the column in the middle between the first and the last ink of a row of each image."""
    first, last = _ends(ink[np.arange(len(ink)), rows])
    return (first + last) / 2


def _thickness(ink):
    """Return the median ink of those rows of each image that have some."""
    sums = np.sort(ink.sum(axis=2), axis=1)
    count = (sums > INKED).sum(axis=1)
    return sums[np.arange(len(ink)), sums.shape[1] - 1 - count // 2]


def _between(low, high, numbers):
    return low + (high - low) * numbers
