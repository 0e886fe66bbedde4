"""Random changes to the images of a batch before a network learns from it: `train(augment=[Shift(2), Rotate(10)])`.

A kind says what it does to images as a function of random numbers; `pipeline.py` draws these and applies it.
"""

import math

import numpy as np

from cnnx._util.representation import Configurable
from cnnx._util.validation import MAX_SIZE, non_negative, positive, true_or_false

# The share of an image that is erased at least, and how much longer than the other a box's side may be.
LEAST_SHARE, LONGEST = 0.02, 10 / 3
# Further from the middle than so many standard deviations, a Gaussian is left out; the noise that it smooths is a
# pixel apart, or one of so many parts of a deviation.
REACH, FINENESS = 3, 2
IDENTITY = np.eye(3)


class Augmentation(Configurable):
    """What augmentations share: arguments are kept in attributes of their names.

    Attributes:
        numbers: how many random ones it takes for a sample.
    """

    numbers = 0


class Affine(Augmentation):
    """One whose places in the original are an affine function of those in the result."""

    def matrices(self, numbers):
        """Return a matrix a sample, (N, 3, 3): from (row, column, 1) in the result to that in the original.

        Rows and columns count from the middle of the image.

        Args:
            numbers: from -1 to 1, (self.numbers, N).
        """
        raise NotImplementedError


class Shift(Affine):
    """Move images by up to so many pixels, up or down and left or right; fractions of pixels are interpolated.

    Args:
        pixels: at least 0.

    Raises:
        ValueError: it is no such number.
    """

    numbers = 2

    def __init__(self, pixels):
        self.pixels = non_negative(pixels, 'pixels', below=MAX_SIZE)

    def matrices(self, numbers):
        matrices = identities(numbers)
        matrices[:, :2, 2] = -self.pixels * numbers.T
        return matrices


class Rotate(Affine):
    """Turn images about their middle, by up to so many degrees either way.

    Args:
        degrees: from 0 to 180.

    Raises:
        ValueError: it is no such number.
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
    """Enlarge or shrink images about their middle: 0.1 is a factor from 0.9 to 1.1.

    Args:
        share: at least 0 and less than 1.
        each_axis: a factor for height and another for width, instead of one for both.

    Raises:
        ValueError: the share is no such number, or each_axis is neither True nor False.
    """

    def __init__(self, share, each_axis=False):
        self.share = non_negative(share, 'share', below=1)
        self.each_axis = true_or_false(each_axis, 'each_axis')

    @property
    def numbers(self):
        return 2 if self.each_axis else 1

    def matrices(self, numbers):
        matrices, factors = identities(numbers), 1 / (1 + self.share * numbers)
        matrices[:, 0, 0], matrices[:, 1, 1] = factors[0], factors[-1]
        return matrices


class Shear(Affine):
    """Slant images: what is upright leans by up to so many degrees to the left or right.

    Args:
        degrees: at least 0 and less than 90.

    Raises:
        ValueError: it is no such number.
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
    """Distort images: each pixel is read at a place moved by a smooth random field.

    Numbers uniform from -1 to 1, two a pixel, are smoothed by a Gaussian and multiplied by alpha; they are the rows
    and columns by which its place is moved. Away from the edges these have a standard deviation of
    alpha / (sigma sqrt(12 pi)); there, they are less, since there is no noise outside of the image.
    Beside affine ones it is added to the places that these come to, whatever the order.

    From sigma = 4 on, there is noise at every second row and column, from 6 on at every third, and so on; displacements
    are linear between. Sigma and alpha are divided by that number, which keeps width and deviation.

    Source: Simard, Steinkraus and Platt, "Best practices for convolutional neural networks applied to visual
    document analysis", 2003; alpha and sigma are theirs.

    Args:
        alpha: at least 0.
        sigma: the Gaussian's standard deviation in pixels, more than 0; it is cut off at 3 of them.

    Raises:
        ValueError: one of them is no such number.
    """

    def __init__(self, alpha=34.0, sigma=4.0):
        self.alpha = non_negative(alpha, 'alpha', below=MAX_SIZE)
        self.sigma = positive(sigma, 'sigma')

    @property
    def spacing(self):
        """Every which row and column there is noise at."""
        return max(1, int(min(self.sigma, MAX_SIZE) / FINENESS))

    def weights(self, size):
        """Return the Gaussian's weights for a place of the field, the one beside it, and so on.

        Over both sides, they sum to 1.

        Args:
            size: of the image; there are no more.
        """
        sigma = self.sigma / self.spacing
        places = np.arange(min(math.ceil(REACH * min(sigma, MAX_SIZE)), size - 1) + 1)
        with np.errstate(over='ignore'):
            weights = np.exp(-0.5 * (places / sigma) ** 2)
        return weights / (2 * weights.sum() - weights[0])


class Erase(Augmentation):
    """Fill a box at a random place of some images.

    The box's share of the image is uniform, and so is the logarithm of height over width, from 0.3 to 1 / 0.3. A side
    longer than the image's is cut to it.

    Source: Zhong et al., "Random erasing data augmentation", 2017, who draw height over width itself, and draw again
    what does not fit.

    Args:
        probability: of an image to be changed, from 0 to 1.
        share: the largest share of the image, more than 0 and at most 1; the smallest is 0.02, or this.
        fill: what pixels become: a number; or a pair, for numbers drawn uniformly from one to the other.

    Raises:
        ValueError: an argument is none of these.
    """

    numbers = 5

    def __init__(self, probability=0.5, share=0.4, fill=0.0):
        self.probability = non_negative(probability, 'probability', below=math.nextafter(1, 2))
        self.share = positive(share, 'share')
        if self.share > 1:
            raise ValueError(f'share: expected at most 1, got {share!r}')
        ends = list(fill) if isinstance(fill, (tuple, list)) else [fill, fill]
        if len(ends) != 2 or not all(_is_number(end) for end in ends) or ends[0] > ends[1]:
            raise ValueError(f'fill: expected a finite number, or a pair of them such as (0, 1), got {fill!r}')
        self.fill = [float(end) for end in ends] if isinstance(fill, (tuple, list)) else float(fill)

    def boxes(self, numbers, height, width):
        """Return first row and column and last ones, these not in it, of each sample's box, (N, 4) int32.

        Args:
            numbers: from 0 to 1, the 1 not among them, (self.numbers, N).
            height, width: of the images.
        """
        chosen, place, ratio, *corner = numbers
        least = min(LEAST_SHARE, self.share)
        area = height * width * (least + (self.share - least) * place)
        ratio = LONGEST ** (2 * ratio - 1)
        sides = np.sqrt([area * ratio, area / ratio])
        limits = np.array([[height], [width]])
        sides = np.clip(np.rint(sides), 1, limits)
        first = np.floor(corner * (limits - sides + 1))
        boxes = np.concatenate([first, first + sides]).astype(np.int32)
        boxes[:, chosen >= self.probability] = 0
        return np.ascontiguousarray(boxes.T)


AUGMENTATIONS = {kind.__name__: kind for kind in (Shift, Rotate, Scale, Shear, Elastic, Erase)}


def as_augmentations(augmentations):
    """Return a list of augmentations, empty for None, or raise a ValueError unless they are one."""
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
    """Return the settings of augmentations as JSON can hold them."""
    return [{'kind': type(augmentation).__name__, **augmentation.settings()} for augmentation in augmentations]


def identities(numbers):
    """Return an identity for each column of numbers, (N, 3, 3)."""
    matrices = np.empty((numbers.shape[1], 3, 3))
    matrices[...] = IDENTITY
    return matrices


def _is_number(value):
    kinds = int, float, np.integer, np.floating
    return isinstance(value, kinds) and not isinstance(value, bool) and abs(value) <= MAX_SIZE
