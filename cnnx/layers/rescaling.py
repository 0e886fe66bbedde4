"""Rescaling: numbers times a scale plus an offset that are given, not learned."""

import numpy as np

from cnnx._util.validation import is_number, shown
from cnnx.layers.base import Layer


class Rescaling(Layer):
    """y = scale x + offset, with given numbers: for all channels, or one for each.

    As the first layer it keeps the scaling of images within the network: Rescaling(1 / 255) takes pixels from 0 to
    255, and Rescaling(1 / deviation, -mean / deviation) those that are to have mean 0 and deviation 1.

    Shape: (N, ..., C) -> (N, ..., C). Gradient: dx = scale dy.

    Args:
        scale, offset: a finite number, or a sequence of C finite numbers.
        input_shape: needed where it cannot be inferred from the layer before.

    Raises:
        ValueError: scale or offset is none of these, or has not one number for each channel.
    """

    adjustable = ('scale', 'offset')

    def __init__(self, scale, offset=0.0, *, input_shape=None):
        super().__init__(input_shape)
        self.scale = _numbers(scale, 'scale')
        self.offset = _numbers(offset, 'offset')

    def output_shape(self, input_shape):
        for name in ('scale', 'offset'):
            numbers = getattr(self, name)
            if isinstance(numbers, tuple) and len(numbers) != input_shape[-1]:
                raise ValueError(f'{name}: expected one number, or {input_shape[-1]}, got {len(numbers)}')
        return input_shape

    def forward(self, x, training=False):
        x = self.check_input(x)
        y = self.empty('y', x.shape)
        np.multiply(x, self._array(self.scale), out=y)
        y += self._array(self.offset)
        self._saved = (y,)
        return y

    def backward(self, dy):
        dy = self.check_gradient(dy)
        dx = self.empty('dx', dy.shape)
        return np.multiply(dy, self._array(self.scale), out=dx)

    def _array(self, numbers):
        return np.asarray(numbers, self.dtype)


def _numbers(value, name):
    """Return a number as a float, and a sequence of numbers as a tuple of floats, or raise a ValueError."""
    several = np.ndim(value) == 1 if isinstance(value, (tuple, list, np.ndarray)) else False
    numbers = tuple(value) if several else (value,)
    if not numbers or not all(is_number(number) and np.isfinite(number) for number in numbers):
        raise ValueError(
            f'{name}: expected a finite number, or a sequence with one for each channel, got {shown(value)}'
        )
    return tuple(map(float, numbers)) if several else float(value)
