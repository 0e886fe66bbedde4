"""Preprocessing of photographs of handwritten digits, to look like images of MNIST.

Source: Yann LeCun, Corinna Cortes and Christopher J. C. Burges on MNIST's home page: black-and-white images were
"size normalized to fit in a 20x20 pixel box while preserving their aspect ratio", with grey levels by antialiasing,
and "centered in a 28x28 image by computing the center of mass of the pixels". The steps before that, which separate
ink from paper, are for photographs.
"""

from dataclasses import dataclass, field

import numpy as np

from cnnx.data.digit_ink import (
    FEW,
    PLAIN,
    dark_on_light,
    dilated,
    ink_of,
    ink_of_few_pixels,
    inks_of_two_levels,
    resized,
    scaled_to_work,
    strokes,
)
from cnnx.data.digit_parts import AT_EDGE, box_of, digit_mask, fills_the_picture, is_sheet, stroke_width
from cnnx.data.idx import DataError
from cnnx.data.images import read_image

BOX = 20 / 28  # the fraction of the image's side that the digit fills
THINNEST = 1.9 / 20  # the least width of strokes, as a fraction of the digit's longer side
THICK = 0.17  # strokes of a digit that are wider may be gaps between strokes of another
HALO = 0.2  # ink that is weaker, at the edge of strokes, does not count for the digit's size


@dataclass
class PreparedDigit:
    """The result of `prepare_digit`.

    Attributes:
        pixels: (size, size, 1) float32 in [0, 1]; 1 is ink.
        notes: a list of sentences, each a reason to doubt that the digit was found; empty for most pictures.
    """

    pixels: np.ndarray = field(repr=False)
    notes: list = field(default_factory=list)


def prepare_digit(picture, size=28):
    """Preprocess a picture of one digit, dark on light or light on dark, like the images of MNIST.

    1. The picture is scaled until its longer side has 120 to 400 pixels, and inverted if it is light on dark: paper is
       what the border is like.
    2. The paper's brightness is taken out, and what is darker than it by more than Otsu's threshold is ink. Weaker ink
       is kept where it touches strong ink.
    3. Printed frames, and marks at the edge that do not reach the middle, are left out. The digit is the largest
       connected component of the rest, with loose strokes close to it.
    4. If this is more like a sheet of paper than like strokes, steps 2 and 3 are tried on the negative.
    5. Strokes are thickened if they are thinner than those of MNIST, the digit is scaled to 20/28 of `size`, and its
       centre of mass is placed in the middle.

    A picture of `size` that looks like MNIST's images already is returned as it is, light on dark. On one of two levels
    that a digit fills, such as one that was cut out, steps 1 to 4 are left out: ink is the rarer level.

    Args:
        picture: a path, or grey values (H, W) or (H, W, 1): whole numbers over the range of their type, or real numbers
            in [0, 1]. Those from 0 to more than 2 are taken to be in [0, 255], and others are scaled from their least
            to their greatest.
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
    if _is_like_mnist(grey, size):
        return PreparedDigit((grey if np.median(grey) < 0.5 else 1 - grey)[..., np.newaxis])
    digit, notes = _digit_of_few_pixels(grey) if max(grey.shape) < FEW else _digit_on_paper(grey)
    if digit is None:
        raise DataError(
            f'{where}: no digit to be seen: expected one digit, clearly darker or clearly lighter than a plain '
            'background'
        )
    return PreparedDigit(_placed(_scaled(_cropped(digit), round(size * BOX)), size), notes)


def _is_like_mnist(grey, size):
    """Return whether a picture looks like MNIST's images already, or like the negative of one.

    Its border is plain, the digit has the size that MNIST's have, and its mass is in the middle.
    """
    pixels = grey if np.median(grey) < 0.5 else 1 - grey
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    if grey.shape != (size, size) or border.max() > 0.1 or pixels.max() < 0.5:
        return False
    top, bottom, left, right = box_of(pixels > 0.1)
    is_of_size = abs(max(bottom - top, right - left) / size - BOX) < 0.1
    return is_of_size and all(abs(_centre_of_mass(pixels, axis) - size / 2) <= 1.5 for axis in (0, 1))


def _centre_of_mass(pixels, axis):
    mass = pixels.sum(axis=1 - axis)
    return (mass * np.arange(len(mass))).sum() / mass.sum()


def _digit_of_few_pixels(grey):
    """Return (ink, notes): all that is on a picture of few pixels; ink is None if nothing is."""
    return ink_of_few_pixels(dark_on_light(grey, even=True)), [f'the picture has less than {FEW} pixels a side']


def _digit_on_paper(grey):
    """Return (ink, notes): the ink of the digit on a picture, None if there is none."""
    even, work = max(grey.shape) < PLAIN, scaled_to_work(grey)
    for ink in inks_of_two_levels(work):
        if fills_the_picture(ink > 0.5):
            return _bolder(_cropped(ink)), [AT_EDGE]
    work = dark_on_light(work, even)
    found = _found(work, even)
    if found is None or is_sheet(found[1]):
        found = _found_on_negative(1 - work, even, found) or found
    if found is None:
        return None, []
    ink, mask, notes = found
    return _bolder(_cropped(np.where(dilated(mask), ink, 0))), notes


def _found(work, even):
    """Return the ink on a picture that is dark on light, the mask of the digit, and notes, or None without a digit."""
    ink, notes = ink_of(work, even), []
    mask = None if ink is None else digit_mask(strokes(ink), notes)
    return None if mask is None else (ink, mask, notes)


def _found_on_negative(work, even, sheet):
    """Return what is found on the negative, if it is a digit, and sheet, what was found before, the paper around it.

    The border was a table or a frame then. A digit has thin strokes; else it may be a gap between thick ones. It is not
    around the sheet, and not much smaller.
    """
    found = _found(work, even)
    if found is None or (sheet is None and is_sheet(found[1])):
        return None  # the paper around a dot
    if sheet is None:
        return found
    top, bottom, left, right = box_of(found[1])
    outer = box_of(sheet[1])
    is_around = top <= outer[0] and left <= outer[2] and bottom >= outer[1] and right >= outer[3]
    is_small = max(bottom - top, right - left) < 0.35 * max(outer[1] - outer[0], outer[3] - outer[2])
    return None if is_around or is_small or stroke_width(found[1]) > THICK else found


def _checked_grey(grey):
    grey = np.asarray(grey)
    grey = grey[..., 0] if grey.ndim == 3 and grey.shape[2] == 1 else grey
    if grey.ndim != 2 or min(grey.shape) < 4 or grey.dtype.kind not in 'biuf' or not np.isfinite(grey).all():
        raise ValueError(f'picture: expected finite grey values (H, W) of 4 pixels or more a side, got {grey.shape}')
    return _in_0_to_1(grey)


def _in_0_to_1(grey):
    """Scale whole numbers by the range of their type, and real ones, or those of 32 bits and more, by what they are."""
    lowest, highest = float(grey.min()), float(grey.max())
    if grey.dtype.kind in 'iu' and grey.dtype.itemsize <= 2:
        of_bytes = lowest >= 0 and highest <= 255  # also where they are stored with 16 bits
        lowest, highest = min(lowest, 0), 255 if of_bytes and grey.dtype.name != 'int8' else np.iinfo(grey.dtype).max
    elif lowest >= 0 and highest <= 1:
        lowest, highest = 0, 1
    elif lowest >= 0 and highest > 2:
        lowest, highest = 0, max(highest, 255)
    return ((grey.astype(np.float64) - lowest) / ((highest - lowest) or 1)).astype(np.float32)


def _cropped(ink):
    top, bottom, left, right = box_of(ink > HALO)
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
        starts.append(min(max(round(size / 2 - _centre_of_mass(digit, axis)), 0), size - length))
    top, left = starts
    image[top : top + digit.shape[0], left : left + digit.shape[1], 0] = digit
    return image
