"""Random changes to the images of a batch before a network learns from it: `train(augment=[Shift(2), Rotate(10)])`.

Neighbours that move pixels (`Shift`, `Rotate`, `Scale`, `Shear`, `Elastic`) are composed, so that an image is
interpolated once: each pixel of the result is read at one place of the original, bilinearly between pixels, and is
zero where that lies outside of the image. All that is random is drawn from a generator that is handed in, a few
calls a batch.
"""

import math

import numpy as np

from cnnx import kernels
from cnnx.arrays import non_negative, positive
from cnnx.geometry import MAX_SIZE
from cnnx.plan import Buffers
from cnnx.samples import Samples

# Multiply-adds that take as long as a number's part in a kernel.
RESAMPLE_WORK, ELASTIC_WORK, ERASE_WORK = 40, 80, 10
# The share of an image that is erased at least, and how much longer than the other a box's side may be.
LEAST_SHARE, LONGEST = 0.02, 10 / 3
# Further from the middle than so many standard deviations, a Gaussian is left out; the noise that it smooths is a
# pixel apart, or one of so many parts of a deviation.
REACH, FINENESS = 3, 2
IDENTITY = np.eye(3)


class Augmentation:
    """What augmentations share: arguments are kept in attributes of their names.

    Attributes:
        numbers: how many random ones it takes for a sample.
    """

    numbers = 0

    def settings(self):
        """Return the constructor's arguments as JSON can hold them: the attributes that are not private."""
        return {name: value for name, value in vars(self).items() if not name.startswith('_')}

    def __repr__(self):
        return f'{type(self).__name__}({", ".join(f"{name}={value!r}" for name, value in self.settings().items())})'


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
        matrices = _identities(numbers)
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
        matrices, angles = _identities(numbers), math.radians(self.degrees) * numbers[0]
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
        if not isinstance(each_axis, bool):
            raise ValueError(f'each_axis: expected True or False, got {each_axis!r}')
        self.each_axis = each_axis

    @property
    def numbers(self):
        return 2 if self.each_axis else 1

    def matrices(self, numbers):
        matrices, factors = _identities(numbers), 1 / (1 + self.share * numbers)
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
        matrices = _identities(numbers)
        matrices[:, 1, 0] = np.tan(math.radians(self.degrees) * numbers[0])
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


class Pipeline:
    """Augmentations of images of one shape and dtype, with the arrays that they need.

    Args:
        augmentations: in the order in which they change an image.
        shape: (H, W, C).
        dtype: float32 or float64.

    Raises:
        ValueError: the augmentations are no list of such objects, or the shape is none of images.
    """

    def __init__(self, augmentations, shape, dtype):
        augmentations = as_augmentations(augmentations)
        if len(shape) != 3:
            raise ValueError(f'augment: expected a network of images (height, width, channels), its input is {shape}')
        self._numbers = sum(augmentation.numbers for augmentation in augmentations)
        self._stages = []
        for augmentation in augmentations:
            if isinstance(augmentation, Erase):
                self._stages.append(_Erasing(augmentation))
            elif not (self._stages and self._stages[-1].takes(augmentation)):
                self._stages.append(_Resampling(augmentation, shape, dtype))
        self._buffers = Buffers()

    def batch(self, samples, index, generator):
        """Return the `arrays` of some samples, x changed, and good until the next batch.

        Args:
            samples: `cnnx.samples.Samples` of the shape and dtype.
            index: which of them, (N,) int64.
            generator: a `numpy.random.Generator`.
        """
        x = self._gathered(samples, index)
        self.change(x, generator)
        return x, *(array[index] for array in samples.arrays[1:])

    def change(self, x, generator):
        """Change images (N, H, W, C), contiguous and of the dtype, in place."""
        numbers, taken = generator.random((self._numbers, len(x))), 0
        for stage in self._stages:
            stage.change(x, numbers[taken : taken + stage.numbers], generator, self._buffers.empty)
            taken += stage.numbers

    def _gathered(self, samples, index):
        """Return a copy of some samples in the dtype, in an array that is used again for the next ones."""
        source, shape = samples.x, (len(index), *samples.x.shape[1:])
        x = self._buffers.empty('x', shape, samples.dtype)
        if not (source.flags.c_contiguous and source.flags.aligned):
            # Taken as a whole, such an array would be copied as a whole.
            for place, number in enumerate(index):
                x[place] = source[number]
        elif source.dtype == samples.dtype:
            source.take(index, 0, x, 'clip')  # in other modes it takes into an array of its own first
        else:
            raw = self._buffers.empty('raw', shape, source.dtype)
            np.copyto(x, source.take(index, 0, raw, 'clip'), casting='unsafe')
        return x


class _Resampling:
    """Neighbouring augmentations that move pixels, the elastic one at most once."""

    def __init__(self, first, shape, dtype):
        self._height, self._width, _ = shape
        self._dtype = dtype
        self._affine, self._elastic = [], None
        self.numbers = 0
        self.takes(first)

    def takes(self, augmentation):
        """Add another one, and return whether it can be."""
        if isinstance(augmentation, Affine):
            self._affine.append(augmentation)
            self.numbers += augmentation.numbers
            return True
        if isinstance(augmentation, Elastic) and self._elastic is None:
            self._elastic = augmentation
            self._weights = augmentation.weights(max(self._height, self._width)).astype(self._dtype)
            return True
        return False

    def change(self, x, numbers, generator, empty):
        displacements = None
        if self._elastic is not None:
            displacements = empty('displacements', (len(x), 2, self._height, self._width), self._dtype)
            kernels.current().elastic_fields(
                displacements,
                self._weights,
                self._elastic.spacing,
                _key(generator),
                self._elastic.alpha / self._elastic.spacing,
                kernels.threads_for(ELASTIC_WORK * displacements.size),
            )
        matrices, threads = self.matrices(numbers), kernels.threads_for(RESAMPLE_WORK * x.size)
        kernels.current().resample(x, x, matrices.astype(self._dtype), displacements, threads)

    def matrices(self, numbers):
        """Return the composed matrices, of rows and columns that count from the first pixel: (N, 2, 3) float64."""
        numbers, taken, product = 2 * numbers - 1, 0, None
        for augmentation in self._affine:
            matrices = augmentation.matrices(numbers[taken : taken + augmentation.numbers])
            taken += augmentation.numbers
            product = matrices if product is None else product @ matrices
        matrices = (_identities(numbers) if product is None else product)[:, :2]
        middle = np.array([(self._height - 1) / 2, (self._width - 1) / 2])
        matrices[:, :, 2] += middle - matrices[:, :, :2] @ middle
        return matrices


class _Erasing:
    numbers = Erase.numbers

    def __init__(self, erase):
        self._erase = erase

    def takes(self, augmentation):
        """Return that no other one goes with it."""
        return False

    def change(self, x, numbers, generator, empty):
        fill, boxes = self._erase.fill, self._erase.boxes(numbers, *x.shape[1:3])
        low, high = fill if isinstance(fill, list) else (fill, fill)
        kernels.current().erase(x, boxes, _key(generator), low, high, kernels.threads_for(ERASE_WORK * x.size))


class AugmentedSource:
    """Samples, or batches as they come, that are augmented before they are learned from.

    Args:
        source: a `cnnx.samples.Samples` or `Stream`.
        augmentations: as `train` takes them.
        network: that learns, and whose generator is drawn from.
    """

    def __init__(self, source, augmentations, network):
        self.size = source.size
        self.measures_accuracy = source.measures_accuracy
        self._source = source
        self._network = network
        self._pipeline = Pipeline(augmentations, network.layers[0].input_shape, network.dtype)

    def steps(self, batch_size):
        """Return how many batches make up an epoch, or None where that is not known before it is over."""
        return self._source.steps(batch_size)

    def batches(self, *arguments):
        """Yield (samples, index) for each batch of an epoch that is not done, as the source does."""
        for samples, index in self._source.batches(*arguments):
            yield _AugmentedSamples(samples, self._pipeline, self._network), index


class _AugmentedSamples(Samples):
    """Samples for one batch, which is augmented when it is asked for first: until then, nothing is drawn for it."""

    direct = False

    def __init__(self, samples, pipeline, network):
        vars(self).update(vars(samples))
        self._augmented = None
        self._pipeline, self._network = pipeline, network

    def batch(self, index):
        if self._augmented is None:
            self._augmented = self._pipeline.batch(self, index, self._network.generator)
        return self._augmented


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


def _identities(numbers):
    """Return an identity for each column of numbers, (N, 3, 3)."""
    matrices = np.empty((numbers.shape[1], 3, 3))
    matrices[...] = IDENTITY
    return matrices


def _key(generator):
    return int(generator.integers(2**64, dtype=np.uint64))


def _is_number(value):
    kinds = int, float, np.integer, np.floating
    return isinstance(value, kinds) and not isinstance(value, bool) and abs(value) <= MAX_SIZE
