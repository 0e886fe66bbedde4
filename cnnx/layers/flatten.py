"""Flatten: images to rows."""

import math

from cnnx.layers.base import Layer


class Flatten(Layer):
    """Write each sample's numbers in one row.

    Shape: (N, ...) -> (N, product of the rest). Gradient: the same numbers in the input's shape.
    """

    def output_shape(self, input_shape):
        return (math.prod(input_shape),)

    def forward(self, x, training=False):
        x = self.check_input(x)
        self._saved = (x,)
        return x.reshape(len(x), *self.shape)

    def backward(self, dy):
        dy = self.check_gradient(dy)
        return dy.reshape(len(dy), *self.input_shape)
