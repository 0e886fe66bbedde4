import math

from cnnx.layers.base import Layer


class Flatten(Layer):
    """Write each sample's numbers in one row.

    Shape: (N, ...) -> (N, product of the rest). Gradient: the same numbers in the input's shape.
    """

    def _output_shape(self, input_shape):
        return (math.prod(input_shape),)

    def compute(self, x, training, empty):
        self._saved = (x,)
        return x.reshape(len(x), *self.output_shape)

    def compute_gradient(self, dy, empty, input_gradient=True):
        return dy.reshape(len(dy), *self.input_shape) if input_gradient else None
