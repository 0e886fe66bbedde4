"""Geometric augmentations, which move pixels: Shift, Rotate, Scale, Shear, Flip, Crop, Elastic.

Each class describes a change of images as a function of random numbers; `pipeline.py` draws these and applies it.
Where a class has an argument `fill`, it says what lies outside of the image: a number; 'edge', the nearest pixel; or
'reflect', the image mirrored at its outermost pixels, which are not repeated, as `np.pad` does it.
"""

import math

import numpy as np

from cnnx._util.validation import MAX_SIZE, is_number, non_negative, positive, true_or_false, whole_number
from cnnx.augmentation.base import Augmentation

# A Gaussian is cut off at TRUNCATION standard deviations. The noise that it smooths is one pixel apart, or, for a large
# Gaussian, a standard deviation / FINENESS.
TRUNCATION, FINENESS = 3, 2
IDENTITY = np.eye(3)


class Affine(Augmentation):
    """Base class of augmentations that move pixels by an affine map.

    Attributes:
        fill: what lies outside of the image; None where nothing from there is read.
    """

    fill = None

    def matrices(self, numbers):
        """Return a matrix for each sample, (N, 3, 3), from (row, column, 1) in the result to that in the original.

        Rows and columns count from the middle of the image.

        Args:
            numbers: random numbers from -1 to 1, (self.numbers, N).
        """
        raise NotImplementedError


class Shift(Affine):
    """Shift images vertically and horizontally; fractions of pixels are interpolated.

    Args:
        pixels: the largest shift in each direction, at least 0.
        fill: what lies outside of the image: a number, 'edge' or 'reflect'.

    Raises:
        ValueError: the argument is out of its range.
    """

    numbers = 2

    def __init__(self, pixels, fill=0.0):
        self.pixels = non_negative(pixels, 'pixels', below=MAX_SIZE)
        self.fill = _fill(fill)

    def matrices(self, numbers):
        matrices = identities(numbers)
        matrices[:, :2, 2] = -self.pixels * numbers.T
        return matrices


class Rotate(Affine):
    """Rotate images about their middle.

    Args:
        degrees: the largest angle in either direction, from 0 to 180.
        fill: what lies outside of the image: a number, 'edge' or 'reflect'.

    Raises:
        ValueError: the argument is out of its range.
    """

    numbers = 1

    def __init__(self, degrees, fill=0.0):
        self.degrees = non_negative(degrees, 'degrees', below=math.nextafter(180, 181))
        self.fill = _fill(fill)

    def matrices(self, numbers):
        matrices, angles = identities(numbers), math.radians(self.degrees) * numbers[0]
        matrices[:, 0, 0] = matrices[:, 1, 1] = np.cos(angles)
        matrices[:, 0, 1] = sines = np.sin(angles)
        matrices[:, 1, 0] = -sines
        return matrices


class Scale(Affine):
    """Scale images about their middle, by a factor from 1 - fraction to 1 + fraction.

    Args:
        fraction: at least 0 and less than 1.
        each_axis: whether height and width are scaled by factors of their own.
        fill: what lies outside of the image: a number, 'edge' or 'reflect'.

    Raises:
        ValueError: the fraction is out of its range, or each_axis is neither True nor False.
    """

    def __init__(self, fraction, each_axis=False, fill=0.0):
        self.fraction = non_negative(fraction, 'fraction', below=1)
        self.each_axis = true_or_false(each_axis, 'each_axis')
        self.fill = _fill(fill)

    @property
    def numbers(self):
        return 2 if self.each_axis else 1

    def matrices(self, numbers):
        matrices, factors = identities(numbers), 1 / (1 + self.fraction * numbers)
        matrices[:, 0, 0], matrices[:, 1, 1] = factors[0], factors[-1]
        return matrices


class Shear(Affine):
    """Shear images horizontally: vertical lines lean to the left or right.

    Args:
        degrees: the largest angle in either direction, at least 0 and less than 90.
        fill: what lies outside of the image: a number, 'edge' or 'reflect'.

    Raises:
        ValueError: the argument is out of its range.
    """

    numbers = 1

    def __init__(self, degrees, fill=0.0):
        self.degrees = non_negative(degrees, 'degrees', below=90)
        self.fill = _fill(fill)

    def matrices(self, numbers):
        matrices = identities(numbers)
        angles = math.radians(self.degrees) * numbers[0]
        # NumPy's tan is not the same to the last bit on all processors.
        matrices[:, 1, 0] = np.sin(angles) / np.cos(angles)
        return matrices


class Flip(Affine):
    """Flip images, each with probability 1/2.

    Args:
        horizontal: whether left and right change places.
        vertical: whether top and bottom change places; with both, each is drawn for itself.

    Raises:
        ValueError: an argument is neither True nor False, or both are False.
    """

    numbers = 2

    def __init__(self, horizontal=True, vertical=False):
        self.horizontal = true_or_false(horizontal, 'horizontal')
        self.vertical = true_or_false(vertical, 'vertical')
        if not (self.horizontal or self.vertical):
            raise ValueError('Flip: expected horizontal or vertical to be True')

    def matrices(self, numbers):
        matrices = identities(numbers)
        matrices[:, 0, 0] = np.where(self.vertical & (numbers[0] < 0), -1, 1)
        matrices[:, 1, 1] = np.where(self.horizontal & (numbers[1] < 0), -1, 1)
        return matrices


class Crop(Affine):
    """Random crop after padding: pad images on each side, and cut out the size of the image at a random place.

    Source: He, Zhang, Ren and Sun, "Deep residual learning for image recognition", 2015, section 4.2.

    Args:
        padding: rows and columns of padding on each side, at least 0.
        fill: what the padding is: a number, 'edge' or 'reflect'.

    Raises:
        ValueError: an argument is out of its range.
    """

    numbers = 2

    def __init__(self, padding=4, fill=0.0):
        self.padding = whole_number(padding, 'padding', MAX_SIZE)
        self.fill = _fill(fill)

    def matrices(self, numbers):
        matrices, places = identities(numbers), 2 * self.padding + 1
        matrices[:, :2, 2] = np.minimum(places * (numbers.T + 1) // 2, places - 1) - self.padding
        return matrices


class Elastic(Augmentation):
    """Elastic distortion: each pixel is moved by a smooth random displacement.

    Two random numbers for each pixel, uniform from -1 to 1, are smoothed by a Gaussian and multiplied by alpha. They
    are the displacements in rows and columns. Their standard deviation is alpha / (sigma sqrt(12 pi)), and less near
    the edges, since there is no noise outside of the image. Next to affine augmentations in the list, the displacement
    is added to the affine map, in whatever order they are.

    To save time, noise is drawn at every second row and column from sigma = 4 on, at every third from 6 on, and so on,
    with linear interpolation between. Sigma and alpha are divided by this spacing, so that the displacements keep
    their width and their standard deviation.

    Source: Simard, Steinkraus and Platt, "Best practices for convolutional neural networks applied to visual
    document analysis", 2003; alpha and sigma are theirs.

    Args:
        alpha: the factor of the displacements, at least 0.
        sigma: the standard deviation of the Gaussian in pixels, more than 0; it is cut off at 3 of these.
        fill: what lies outside of the image: a number, 'edge' or 'reflect'.

    Raises:
        ValueError: an argument is out of its range.
    """

    def __init__(self, alpha=34.0, sigma=4.0, fill=0.0):
        self.alpha = non_negative(alpha, 'alpha', below=MAX_SIZE)
        self.sigma = positive(sigma, 'sigma')
        self.fill = _fill(fill)

    @property
    def spacing(self):
        """The distance between rows, and columns, at which noise is drawn."""
        return max(1, int(min(self.sigma, MAX_SIZE) / FINENESS))

    def weights(self, size):
        """Return the weights of the Gaussian at distances 0, 1, 2, ... of the noise; over both sides, they sum to 1.

        Args:
            size: the longer side of the image, which is the largest number of weights.
        """
        sigma = self.sigma / self.spacing
        places = np.arange(min(math.ceil(TRUNCATION * min(sigma, MAX_SIZE)), size - 1) + 1)
        with np.errstate(over='ignore'):
            weights = np.exp(-0.5 * (places / sigma) ** 2)
        return weights / (2 * weights.sum() - weights[0])


def identities(numbers):
    """Return an identity matrix for each column of numbers, (N, 3, 3)."""
    matrices = np.empty((numbers.shape[1], 3, 3))
    matrices[...] = IDENTITY
    return matrices


def _fill(value):
    """Return what lies outside of images: a number as a float, or 'edge' or 'reflect'."""
    if isinstance(value, str) and value in ('edge', 'reflect'):
        return value
    if is_number(value) and abs(value) <= MAX_SIZE:
        return float(value)
    raise ValueError(f"fill: expected a finite number, 'edge' or 'reflect', got {value!r}")
