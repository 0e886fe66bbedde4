"""Preprocessing of photographs of handwritten digits, to look like images of MNIST.

Source: Yann LeCun, Corinna Cortes and Christopher J. C. Burges on MNIST's home page: black-and-white images were
"size normalized to fit in a 20x20 pixel box while preserving their aspect ratio", with grey levels by antialiasing,
and "centered in a 28x28 image by computing the center of mass of the pixels". The steps before that, which separate
ink from paper, are for photographs.
"""

from dataclasses import dataclass, field

import numpy as np

from cnnx.data.digit_ink import PLAIN, dark_on_light, dilated, ink_of, resized, scaled_to_work, strokes
from cnnx.data.digit_parts import box_of, digit_mask, is_sheet, stroke_width
from cnnx.data.idx import DataError
from cnnx.data.images import read_image

BOX = 20 / 28  # the fraction of the image's side that the digit fills
# The least width of strokes, as a fraction of the digit's longer side. One in ten of MNIST's digits has thinner ones.
THINNEST = 1.5 / 20


@dataclass
class PreparedDigit:
    """The result of `prepare_digit`.

    Attributes:
        pixels: (size, size, 1) float32 in [0, 1]; 1 is ink.
        notes: a list of sentences about what may be wrong with the picture.
    """

    pixels: np.ndarray
    notes: list = field(default_factory=list)


def prepare_digit(picture, size=28):
    """Preprocess a picture of one digit, dark on light or light on dark, like the images of MNIST.

    1. A quadratic surface is fitted to the background and subtracted.
    2. Ink is what is darker, or lighter, than the background by more than Otsu's threshold.
    3. The digit is the largest connected component of the ink, with the strokes and small pieces close to it. Ink that
       touches the edge of the picture is ignored, unless there is nothing else.
    4. The digit is cropped, its strokes are thickened if they are thinner than those of MNIST, it is scaled to 20/28
       of `size`, and its centre of mass is placed in the middle.

    Args:
        picture: a path, or grey values (H, W) or (H, W, 1) in [0, 1].
        size: height and width of the result in pixels; 28 for networks that were trained on MNIST.

    Returns:
        A `PreparedDigit`.

    Raises:
        DataError: no digit can be seen, or `read_image` cannot read the file.
        ImportError: Pillow is not installed.
        OSError: the file does not exist or cannot be opened.
        ValueError: picture or size is not of this form.
    """
    where = 'picture' if isinstance(picture, np.ndarray) else picture
    grey = _checked_grey(picture if isinstance(picture, np.ndarray) else read_image(picture))
    if not isinstance(size, (int, np.integer)) or size < 4:
        raise ValueError(f'size: expected a whole number of at least 4, got {size!r}')
    even = max(grey.shape) < PLAIN
    work = dark_on_light(scaled_to_work(grey), even)
    found = _found(work, even)
    if found is None or is_sheet(found[1]):
        found = _found_on_negative(1 - work, even, found) or found
    if found is None:
        raise DataError(
            f'{where}: no digit to be seen: expected one digit, clearly darker or clearly lighter than a plain '
            'background'
        )
    ink, mask, notes = found
    digit = _bolder(_cropped(ink, mask))
    return PreparedDigit(_placed(_scaled(digit, round(size * BOX)), size), notes)


def _found(work, even):
    """Return the ink on a picture that is dark on light, the mask of the digit, and notes, or None without a digit."""
    ink, notes = ink_of(work, even), []
    mask = None if ink is None else digit_mask(strokes(ink), notes)
    return None if mask is None else (ink, mask, notes)


def _found_on_negative(work, even, wide):
    """Return what is found on the negative, if it is the digit, and wide, what was found before, the paper around it.

    The border was a table or a frame then. The digit has thinner strokes than the paper, and is not the paper's edge
    nor a hole in a stroke.
    """
    found = _found(work, even)
    if found is None or wide is None:
        return found
    top, bottom, left, right = box_of(found[1])
    outer = box_of(wide[1])
    is_around = top <= outer[0] and left <= outer[2] and bottom >= outer[1] and right >= outer[3]
    is_hole = max(bottom - top, right - left) < 0.35 * max(outer[1] - outer[0], outer[3] - outer[2])
    return found if not (is_around or is_hole or is_sheet(found[1])) else None


def _checked_grey(grey):
    grey = np.asarray(grey)
    grey = grey[..., 0] if grey.ndim == 3 and grey.shape[2] == 1 else grey
    if grey.ndim != 2 or min(grey.shape) < 4 or grey.dtype.kind not in 'biuf' or not np.isfinite(grey).all():
        raise ValueError(f'picture: expected finite grey values (H, W) of 4 pixels or more a side, got {grey.shape}')
    return _in_0_to_1(grey)


def _in_0_to_1(grey):
    """Scale whole numbers by the range of their type, and other real numbers by what they look like."""
    lowest, highest = grey.min(), grey.max()
    if grey.dtype.kind in 'iu' and grey.dtype.itemsize <= 2:
        highest = np.iinfo(grey.dtype).max
    elif lowest >= 0 and 1 < highest <= 255:
        highest = 255
    if lowest >= 0 and highest <= 1:
        lowest, highest = 0, 1
    elif lowest >= 0:
        lowest = 0
    return ((grey.astype(np.float64) - lowest) / (float(highest) - lowest)).astype(np.float32)


def _cropped(ink, mask):
    """Return the ink of a mask, with its soft edge, cropped to it."""
    ink = np.where(dilated(mask), ink, 0)
    top, bottom, left, right = box_of(ink > 0)
    return ink[top:bottom, left:right]


def _bolder(ink):
    """Return a digit (H, W) with strokes of at least THINNEST."""
    by = round((THINNEST - stroke_width(ink > 0.5)) * max(ink.shape) / 2)
    return ink if by < 1 else dilated(np.pad(ink, by), by)


def _scaled(strength, longest):
    ratio = longest / max(strength.shape)
    height, width = (max(1, round(length * ratio)) for length in strength.shape)
    scaled = resized(strength, height, width).clip(0, 1)
    return scaled / scaled.max()


def _placed(digit, size):
    """Place a digit in an empty square, with its centre of mass where MNIST has it: at pixel 14 of 28, from 0."""
    image = np.zeros((size, size, 1), np.float32)
    starts = []
    for axis, length in enumerate(digit.shape):
        mass = digit.sum(axis=1 - axis)
        centre = (mass * np.arange(length)).sum() / mass.sum()
        starts.append(min(max(round(size / 2 - centre), 0), size - length))
    top, left = starts
    image[top : top + digit.shape[0], left : left + digit.shape[1], 0] = digit
    return image
