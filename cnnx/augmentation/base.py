"""What all augmentations share, and augmentations that are functions of one's own."""

import numpy as np

from cnnx._util.representation import Configurable
from cnnx._util.validation import function_of


class Augmentation(Configurable):
    """Base class of augmentations. The arguments of the constructor are kept in attributes of the same names.

    Attributes:
        numbers: the count of random numbers that it takes for each sample.
    """

    numbers = 0

    def check(self, shape):
        """Raise a ValueError if images (H, W, C) of this shape cannot be changed."""


class InPlace(Augmentation):
    """Base class of augmentations that change the pixels of a batch where they are."""

    def change(self, x, numbers, generator):
        """Change images.

        Args:
            x: images (N, H, W, C), contiguous, which are overwritten.
            numbers: random numbers, at least 0 and less than 1, (self.numbers, N).
            generator: a `numpy.random.Generator`, for what needs more of them.
        """
        raise NotImplementedError


class Custom(InPlace):
    """An augmentation by a function of the user.

    Args:
        function: takes (images, generator), a batch (N, H, W, C), which it may overwrite, and a
            `numpy.random.Generator`; returns images of the same shape. It must draw all random numbers from this
            generator, and depend on nothing that it changes itself: a resumed run would see other images.

    Raises:
        ValueError: it is not a function of two arguments, or, for a batch, it does not return such images.
    """

    def __init__(self, function):
        self.function = function_of(function, 'augment', 'images', 'generator')

    @property
    def name(self):
        return getattr(self.function, '__qualname__', type(self.function).__name__)

    def settings(self):
        return {'function': self.name}

    def change(self, x, numbers, generator):
        result = self.function(x, generator)
        if not (isinstance(result, np.ndarray) and result.shape == x.shape and result.dtype.kind == 'f'):
            got = f'{result.shape} {result.dtype}' if isinstance(result, np.ndarray) else repr(result)
            raise ValueError(f'augment: {self.name} has to return images {x.shape} {x.dtype}, it returned {got}')
        if result is not x:
            x[...] = result
