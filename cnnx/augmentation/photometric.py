"""Photometric augmentations, which change values of pixels: Brightness, Contrast, Colour, Erase.

Pixels may leave the range that they had: nothing is cut off, so images need not be scaled to 0..1.
"""

import math

import numpy as np

from cnnx._util.validation import MAX_SIZE, is_number, non_negative, positive
from cnnx.augmentation.base import Augmentation, InPlace

# Of a box that is erased: the least fraction of the image, and the largest ratio of its sides.
LEAST_FRACTION, LARGEST_RATIO = 0.02, 10 / 3
# From red, green and blue to luma Y and the two numbers of colour, I and Q, of the NTSC television standard.
YIQ = np.array([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])


class Brightness(InPlace):
    """Make images brighter or darker: add a number, drawn for each image, to all of its pixels.

    Args:
        amount: the largest number in either direction, at least 0; 0.2 is a fifth of the range of pixels from 0 to 1.

    Raises:
        ValueError: the argument is out of its range.
    """

    numbers = 1

    def __init__(self, amount=0.2):
        self.amount = non_negative(amount, 'amount', below=MAX_SIZE)

    def change(self, x, numbers, generator):
        x += _per_image(self.amount * (2 * numbers[0] - 1), x)


class Contrast(InPlace):
    """Change contrast: multiply the distance of pixels from their mean, of each image and channel, by a factor.

    Args:
        fraction: the factor is drawn from 1 - fraction to 1 + fraction for each image; from 0 to 1.

    Raises:
        ValueError: the argument is out of its range.
    """

    numbers = 1

    def __init__(self, fraction=0.2):
        self.fraction = non_negative(fraction, 'fraction', below=math.nextafter(1, 2))

    def change(self, x, numbers, generator):
        N, H, W, C = x.shape
        change = (self.fraction * (2 * numbers[0] - 1)).astype(x.dtype)[:, None]
        rows = x.reshape(N, H, W * C)  # NumPy is much faster along these than along a few channels
        mean = rows.sum(axis=1).reshape(N, W, C).sum(axis=1) / (H * W)
        rows *= 1 + change[:, None]
        rows -= np.tile(change * mean, W)[:, None]


class Colour(InPlace):
    """Change saturation and hue of images with the channels red, green and blue; their luma stays as it is.

    In the colour space YIQ, the plane of I and Q is rotated by an angle and scaled by a factor.

    Args:
        saturation: the factor is drawn from 1 - saturation to 1 + saturation for each image; from 0 to 1. A factor of
            0 leaves grey.
        hue: the angle is drawn from -hue to hue turns for each image; from 0 to 0.5. A third of a turn makes red
            about green.

    Raises:
        ValueError: an argument is out of its range.
    """

    numbers = 2

    def __init__(self, saturation=0.3, hue=0.05):
        self.saturation = non_negative(saturation, 'saturation', below=math.nextafter(1, 2))
        self.hue = non_negative(hue, 'hue', below=math.nextafter(0.5, 1))

    def check(self, shape):
        if shape[2] != 3:
            raise ValueError(f'Colour: expected images with 3 channels (red, green, blue), the network takes {shape}')

    def change(self, x, numbers, generator):
        factors, angles = 1 + self.saturation * (2 * numbers[0] - 1), 2 * np.pi * self.hue * (2 * numbers[1] - 1)
        changes = np.zeros((len(x), 3, 3))  # of (Y, I, Q)
        changes[:, 1, 1] = changes[:, 2, 2] = factors * np.cos(angles) - 1
        changes[:, 1, 2] = sines = factors * np.sin(angles)
        changes[:, 2, 1] = -sines
        changes = np.linalg.inv(YIQ) @ changes @ YIQ  # of (red, green, blue)
        before = [x[..., channel].copy() for channel in range(3)]
        for i in range(3):
            for j in range(3):
                x[..., i] += _per_image(changes[:, i, j], before[j]) * before[j]


class Erase(Augmentation):
    """Random erasing: fill a box at a random place of some images.

    The area of the box is uniform, and so is the logarithm of height / width, from 0.3 to 1 / 0.3. Sides longer than
    those of the image are cut.

    Source: Zhong et al., "Random erasing data augmentation", 2017, who draw height / width itself, and draw again
    where a box does not fit.

    Args:
        probability: the probability that an image is changed, from 0 to 1.
        fraction: the largest area of the box, as a fraction of the image, more than 0 and at most 1. The smallest is
            0.02, or `fraction` if that is less.
        fill: the new value of the pixels; or a pair (low, high), for random values from low to high.

    Raises:
        ValueError: an argument is out of its range.
    """

    numbers = 5

    def __init__(self, probability=0.5, fraction=0.4, fill=0.0):
        self.probability = non_negative(probability, 'probability', below=math.nextafter(1, 2))
        self.fraction = positive(fraction, 'fraction')
        if self.fraction > 1:
            raise ValueError(f'fraction: expected at most 1, got {fraction!r}')
        ends = list(fill) if isinstance(fill, (tuple, list)) else [fill, fill]
        if len(ends) != 2 or not all(_is_end(end) for end in ends) or ends[0] > ends[1]:
            raise ValueError(f'fill: expected a finite number, or a pair of them such as (0, 1), got {fill!r}')
        self.fill = [float(end) for end in ends] if isinstance(fill, (tuple, list)) else float(fill)

    def boxes(self, numbers, height, width):
        """Return the box of each sample as (top, left, bottom, right), the last two exclusive, (N, 4) int32.

        Args:
            numbers: random numbers, at least 0 and less than 1, (self.numbers, N).
            height, width: of the images.
        """
        chosen, size, ratio, *corner = numbers
        least = min(LEAST_FRACTION, self.fraction)
        area = height * width * (least + (self.fraction - least) * size)
        ratio = LARGEST_RATIO ** (2 * ratio - 1)
        sides = np.sqrt([area * ratio, area / ratio])
        limits = np.array([[height], [width]])
        sides = np.clip(np.rint(sides), 1, limits)
        first = np.floor(corner * (limits - sides + 1))
        boxes = np.concatenate([first, first + sides]).astype(np.int32)
        boxes[:, chosen >= self.probability] = 0
        return np.ascontiguousarray(boxes.T)


def _per_image(numbers, x):
    """Return a number for each image (N, ...) in its dtype and so that it can be added to x."""
    return numbers.astype(x.dtype).reshape(-1, *[1] * (x.ndim - 1))


def _is_end(value):
    return is_number(value) and abs(value) <= MAX_SIZE
