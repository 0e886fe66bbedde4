from cnnx import kernels
from cnnx.layers.base import Layer


class Softmax(Layer):
    """exp(x) / sum of exp(x), row by row: any numbers become probabilities.

    Shape: (N, classes) -> (N, classes). Gradient: dx = y (dy - sum of y dy). In front of
    `CategoricalCrossEntropy` a network computes the two as one step.
    """

    def _output_shape(self, input_shape):
        if len(input_shape) != 1:
            raise ValueError(f'expected input (classes,), got {input_shape}; put a Flatten before it')
        return input_shape

    def compute(self, x, training, empty):
        y = empty('y', x.shape, self.dtype)
        self._saved = (y,)
        kernels.current().softmax_forward(x, y, kernels.threads_for(x.size))
        return y

    def compute_gradient(self, dy, empty, input_gradient=True):
        if not input_gradient:
            return None
        (y,) = self._saved
        dx = empty('dx', y.shape, self.dtype)
        kernels.current().softmax_backward(y, dy, dx, kernels.threads_for(y.size))
        return dx
