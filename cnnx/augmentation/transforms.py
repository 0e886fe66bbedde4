"""Image augmentations: Shift, Rotate, Scale, Shear, Elastic, Erase, as in `train(augment=[Shift(2), Rotate(10)])`.

Each class describes a change of images as a function of random numbers; `pipeline.py` draws these and applies it.
"""

import math

import numpy as np

from cnnx._util.representation import Configurable
from cnnx._util.validation import MAX_SIZE, non_negative, positive, true_or_false

# Of a box that is erased: the least fraction of the image, and the largest ratio of its sides.
LEAST_FRACTION, LARGEST_RATIO = 0.02, 10 / 3
# A Gaussian is cut off at TRUNCATION standard deviations. The noise that it smooths is one pixel apart, or, for a large
# Gaussian, a standard deviation / FINENESS.
TRUNCATION, FINENESS = 3, 2
IDENTITY = np.eye(3)


class Augmentation(Configurable):
    """Base class of augmentations. The arguments of the constructor are kept in attributes of the same names.

    Attributes:
        numbers: the count of random numbers that it takes for each sample.
    """

    numbers = 0


class Affine(Augmentation):
    """Base class of augmentations that move pixels by an affine map."""

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

    Raises:
        ValueError: the argument is out of its range.
    """

    numbers = 2

    def __init__(self, pixels):
        self.pixels = non_negative(pixels, 'pixels', below=MAX_SIZE)

    def matrices(self, numbers):
        matrices = identities(numbers)
        matrices[:, :2, 2] = -self.pixels * numbers.T
        return matrices


class Rotate(Affine):
    """Rotate images about their middle.

    Args:
        degrees: the largest angle in either direction, from 0 to 180.

    Raises:
        ValueError: the argument is out of its range.
    """

    numbers = 1

    def __init__(self, degrees):
        self.degrees = non_negative(degrees, 'degrees', below=math.nextafter(180, 181))

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

    Raises:
        ValueError: the fraction is out of its range, or each_axis is neither True nor False.
    """

    def __init__(self, fraction, each_axis=False):
        self.fraction = non_negative(fraction, 'fraction', below=1)
        self.each_axis = true_or_false(each_axis, 'each_axis')

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

    Raises:
        ValueError: the argument is out of its range.
    """

    numbers = 1

    def __init__(self, degrees):
        self.degrees = non_negative(degrees, 'degrees', below=90)

    def matrices(self, numbers):
        matrices = identities(numbers)
        angles = math.radians(self.degrees) * numbers[0]
        # NumPy's tan is not the same to the last bit on all processors.
        matrices[:, 1, 0] = np.sin(angles) / np.cos(angles)
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

    Raises:
        ValueError: an argument is out of its range.
    """

    def __init__(self, alpha=34.0, sigma=4.0):
        self.alpha = non_negative(alpha, 'alpha', below=MAX_SIZE)
        self.sigma = positive(sigma, 'sigma')

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
        if len(ends) != 2 or not all(_is_number(end) for end in ends) or ends[0] > ends[1]:
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


AUGMENTATIONS = {kind.__name__: kind for kind in (Shift, Rotate, Scale, Shear, Elastic, Erase)}


def as_augmentations(augmentations):
    """Return a list of augmentations, empty for None, or raise a ValueError unless it is one."""
    if augmentations is None:
        return []
    if not isinstance(augmentations, (tuple, list)):
        raise ValueError(f'augment: expected a list such as [Shift(2), Rotate(10)], got {augmentations!r}')
    for augmentation in augmentations:
        if not isinstance(augmentation, tuple(AUGMENTATIONS.values())):
            known = ', '.join(AUGMENTATIONS)
            raise ValueError(f'augment: expected objects of cnnx.augmentation ({known}), got {augmentation!r}')
    return list(augmentations)


def describe(augmentations):
    """Return the class names and settings of augmentations as values that JSON can hold."""
    return [{'kind': type(augmentation).__name__, **augmentation.settings()} for augmentation in augmentations]


def identities(numbers):
    """Return an identity matrix for each column of numbers, (N, 3, 3)."""
    matrices = np.empty((numbers.shape[1], 3, 3))
    matrices[...] = IDENTITY
    return matrices


def _is_number(value):
    kinds = int, float, np.integer, np.floating
    return isinstance(value, kinds) and not isinstance(value, bool) and abs(value) <= MAX_SIZE
