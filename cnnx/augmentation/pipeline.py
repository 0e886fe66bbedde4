"""Augmentation of batches: a list of augmentations as one pipeline.

Neighbouring augmentations that move pixels are composed, so that an image is interpolated only once: each pixel of the
result is read at one place of the original, by bilinear interpolation. Where they differ in what lies outside of the
image, it is interpolated once for each. All random numbers come from a generator that is passed in, by a few calls for
each batch.
"""

import numpy as np

from cnnx import kernels
from cnnx.augmentation.base import InPlace
from cnnx.augmentation.digit_shapes import DigitShapes
from cnnx.augmentation.geometric import Affine, Elastic, identities
from cnnx.augmentation.photometric import Erase
from cnnx.augmentation.transforms import as_augmentations
from cnnx.execution.buffers import Buffers

# The time that each kernel takes for one number, in multiply-adds.
RESAMPLE_WORK, ELASTIC_WORK, ERASE_WORK = 40, 80, 10


class Pipeline:
    """A list of augmentations for images of one shape and dtype, with the arrays that they need.

    Args:
        augmentations: `Augmentation` objects or functions, as `train` takes them, in the order in which they are
            applied.
        shape: (H, W, C).
        dtype: float32 or float64.

    Raises:
        ValueError: the augmentations are not such a list, or cannot change images of the shape.
    """

    def __init__(self, augmentations, shape, dtype):
        augmentations = as_augmentations(augmentations)
        if len(shape) != 3:
            raise ValueError(f'augment: expected a network of images (height, width, channels), its input is {shape}')
        self._numbers = sum(augmentation.numbers for augmentation in augmentations)
        self._stages = []
        for augmentation in augmentations:
            augmentation.check(shape)
            single = next((stage for kind, stage in SINGLE.items() if isinstance(augmentation, kind)), None)
            if single:
                self._stages.append(single(augmentation))
            elif not (self._stages and self._stages[-1].add(augmentation)):
                self._stages.append(_Resampling(augmentation, shape, dtype))
        self._buffers = Buffers()

    def batch(self, data, index, generator):
        """Return the `arrays` of some samples, with x augmented; x is overwritten by the next batch.

        Args:
            data: `cnnx.training.array_data.ArrayData` of the shape and dtype.
            index: of the samples, (N,) int64.
            generator: a `numpy.random.Generator`.
        """
        x = self._gathered(data, index)
        targets, *weights = (array[index] for array in data.arrays[1:])
        self.change(x, generator, targets)
        return x, targets, *weights

    def change(self, x, generator, targets=None):
        """Augment images (N, H, W, C), which are contiguous and of the dtype, in place.

        Args:
            x: the images.
            generator: a `numpy.random.Generator`.
            targets: labels (N,) or one-hot rows, for `DigitShapes`.
        """
        numbers, taken = generator.random((self._numbers, len(x))), 0
        for stage in self._stages:
            stage.change(x, numbers[taken : taken + stage.numbers], targets, generator, self._buffers.empty)
            taken += stage.numbers

    def _gathered(self, data, index):
        """Return a copy of some samples in the dtype, in an array that the next batch reuses."""
        source, shape = data.x, (len(index), *data.x.shape[1:])
        x = self._buffers.empty('x', shape, data.dtype)
        if not (source.flags.c_contiguous and source.flags.aligned):
            # `take` would copy the whole source first.
            for place, number in enumerate(index):
                x[place] = source[number]
        elif source.dtype == data.dtype:
            source.take(index, 0, x, 'clip')  # the other modes copy through an array of their own
        else:
            raw = self._buffers.empty('raw', shape, source.dtype)
            np.copyto(x, source.take(index, 0, raw, 'clip'), casting='unsafe')
        return x


class _Resampling:
    """Neighbouring augmentations that move pixels, applied together; of one fill, with at most one `Elastic`."""

    def __init__(self, first, shape, dtype):
        self._height, self._width, _ = shape
        self._dtype = dtype
        self._affine, self._elastic, self._fill = [], None, None
        self.numbers = 0
        self.add(first)

    def add(self, augmentation):
        """Add an augmentation if it can be applied together with the others; return whether it was added."""
        fits = isinstance(augmentation, Affine) or (isinstance(augmentation, Elastic) and self._elastic is None)
        if not fits or (None not in (augmentation.fill, self._fill) and augmentation.fill != self._fill):
            return False
        if self._fill is None:
            self._fill = augmentation.fill
        if isinstance(augmentation, Affine):
            self._affine.append(augmentation)
            self.numbers += augmentation.numbers
        else:
            self._elastic = augmentation
            self._weights = augmentation.weights(max(self._height, self._width)).astype(self._dtype)
        return True

    def change(self, x, numbers, targets, generator, empty):
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
        outside, fill = (self._fill, 0.0) if isinstance(self._fill, str) else ('fill', self._fill or 0.0)
        kernels.current().resample(x, x, matrices.astype(self._dtype), displacements, outside, fill, threads)

    def matrices(self, numbers):
        """Return the composed matrices (N, 2, 3) float64, for rows and columns that count from the first pixel."""
        numbers, taken, product = 2 * numbers - 1, 0, None
        for augmentation in self._affine:
            matrices = augmentation.matrices(numbers[taken : taken + augmentation.numbers])
            taken += augmentation.numbers
            product = matrices if product is None else product @ matrices
        matrices = (identities(numbers) if product is None else product)[:, :2]
        middle = np.array([(self._height - 1) / 2, (self._width - 1) / 2])
        matrices[:, :, 2] += middle - matrices[:, :, :2] @ middle
        return matrices


class _InPlace:
    def __init__(self, augmentation):
        self._augmentation = augmentation
        self.numbers = augmentation.numbers

    def add(self, augmentation):
        """Return False: no other augmentation is applied together with it."""
        return False

    def change(self, x, numbers, targets, generator, empty):
        self._augmentation.change(x, numbers, generator)


class _DigitShapes(_InPlace):
    def change(self, x, numbers, targets, generator, empty):
        self._augmentation.change(x, numbers, targets)


class _Erasing(_InPlace):
    def change(self, x, numbers, targets, generator, empty):
        erase = self._augmentation
        fill, boxes = erase.fill, erase.boxes(numbers, *x.shape[1:3])
        low, high = fill if isinstance(fill, list) else (fill, fill)
        kernels.current().erase(x, boxes, _key(generator), low, high, kernels.threads_for(ERASE_WORK * x.size))


# Stages of a single augmentation.
SINGLE = {InPlace: _InPlace, DigitShapes: _DigitShapes, Erase: _Erasing}


def _key(generator):
    return int(generator.integers(2**64, dtype=np.uint64))
