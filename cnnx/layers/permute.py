"""Permute: the axes of a sample in another order."""

import numpy as np

from cnnx._util.validation import is_whole
from cnnx.layers.base import Layer


class Permute(Layer):
    """Put the axes of each sample into another order, as `numpy.transpose` does.

    Shape: (N, *input_shape) -> (N, input_shape[axes[0]], input_shape[axes[1]], ...). Gradient: dy with its axes put
    back.

    Args:
        axes: the axes of a sample, counted from 0 without the batch axis, in their new order: (2, 0, 1) makes
            (channels, height, width) of (height, width, channels). (Keras counts them from 1.)
        input_shape: needed where it cannot be inferred from the layer before.

    Raises:
        ValueError: axes are not all axes of the input, each once.
    """

    def __init__(self, axes, *, input_shape=None):
        super().__init__(input_shape)
        fits = isinstance(axes, (tuple, list)) and all(map(is_whole, axes))
        if not fits or not axes or sorted(axes) != list(range(len(axes))):
            raise ValueError(f'axes: expected each axis of a sample once, counted from 0: (2, 0, 1), got {axes!r:.60}')
        self.axes = tuple(int(axis) for axis in axes)

    def output_shape(self, input_shape):
        if len(input_shape) != len(self.axes):
            raise ValueError(f'axes: {self.axes} does not fit the {len(input_shape)} axes of {input_shape}')
        return tuple(input_shape[axis] for axis in self.axes)

    def forward(self, x, training=False):
        x = self.check_input(x)
        y = self.empty('y', (len(x), *self.shape))
        y[...] = x.transpose(0, *(axis + 1 for axis in self.axes))
        self._saved = (y,)
        return y

    def backward(self, dy):
        dy = self.check_gradient(dy)
        dx = self.empty('dx', (len(dy), *self.input_shape))
        dx[...] = dy.transpose(0, *(int(place) + 1 for place in np.argsort(self.axes)))
        return dx
