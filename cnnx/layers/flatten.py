"""Flatten and Reshape: the same numbers in another shape."""

import math

from cnnx._util.validation import MAX_SIZE, is_whole
from cnnx.layers.base import Layer


class Reshape(Layer):
    """Give each sample's numbers another shape; their order, the last axis fastest, stays.

    Shape: (N, ...) -> (N, *target_shape). Gradient: the same numbers in the input's shape.

    Args:
        target_shape: of a sample, such as (7, 7, 16); one of its sizes may be -1: what is left for it.
        input_shape: needed where it cannot be inferred from the layer before.

    Raises:
        ValueError: target_shape is none of these, or has not as many numbers as the input.
    """

    def __init__(self, target_shape, *, input_shape=None):
        super().__init__(input_shape)
        sizes = target_shape if isinstance(target_shape, (tuple, list)) else (target_shape,)
        fits = all(is_whole(size) and (size == -1 or 1 <= size <= MAX_SIZE) for size in sizes)
        if not sizes or not fits or list(sizes).count(-1) > 1:
            raise ValueError(
                f'target_shape: expected a shape such as (7, 7, 16), one size of which may be -1, got {target_shape!r}'
            )
        self.target_shape = tuple(int(size) for size in sizes)

    def output_shape(self, input_shape):
        numbers, known = math.prod(input_shape), math.prod(size for size in self.target_shape if size != -1)
        left = numbers // known if -1 in self.target_shape else 1
        if known * left != numbers:
            raise ValueError(f'target_shape: {self.target_shape} does not fit the {numbers} numbers of {input_shape}')
        return tuple(left if size == -1 else size for size in self.target_shape)

    def forward(self, x, training=False):
        x = self.check_input(x)
        self._saved = (x,)
        return x.reshape(len(x), *self.shape)

    def backward(self, dy):
        dy = self.check_gradient(dy)
        return dy.reshape(len(dy), *self.input_shape)


class Flatten(Reshape):
    """Write each sample's numbers in one row.

    Shape: (N, ...) -> (N, product of the rest). Gradient: the same numbers in the input's shape.
    """

    def __init__(self, input_shape=None):
        super().__init__(-1, input_shape=input_shape)
