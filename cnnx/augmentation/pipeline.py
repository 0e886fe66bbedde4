"""How the images of a batch are augmented, and samples whose batches are.

Neighbouring augmentations that move pixels are composed, so that an image is interpolated once: each pixel of the
result is read at one place of the original, bilinearly between pixels, and is zero where that lies outside of the
image. All that is random is drawn from a generator that is handed in, a few calls a batch.
"""

import numpy as np

from cnnx import kernels
from cnnx.augmentation import Elastic, Erase
from cnnx.augmentation.transforms import Affine, as_augmentations, identities
from cnnx.execution.buffers import Buffers

# Multiply-adds that take as long as a number's part in a kernel.
RESAMPLE_WORK, ELASTIC_WORK, ERASE_WORK = 40, 80, 10


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
            samples: `cnnx.training.array_data.ArrayData` of the shape and dtype.
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
        matrices = (identities(numbers) if product is None else product)[:, :2]
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


def _key(generator):
    return int(generator.integers(2**64, dtype=np.uint64))
