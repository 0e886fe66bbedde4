from cnnx import kernels
from cnnx.layers.base import Layer


class Activation(Layer):
    """A function applied to each number on its own, whose gradient can be told from its output.

    A kind of activation names its pair of kernels.
    """

    kernel = None

    def _output_shape(self, input_shape):
        return input_shape

    def compute(self, x, training, empty):
        y = empty('y', x.shape, self.dtype)
        self._saved = (y,)
        forward = getattr(kernels.current(), f'{self.kernel}_forward')
        forward(x.reshape(-1), y.reshape(-1), kernels.threads_for(x.size))
        return y

    def compute_gradient(self, dy, empty, input_gradient=True):
        if not input_gradient:
            return None
        (y,) = self._saved
        dx = empty('dx', y.shape, self.dtype)
        backward = getattr(kernels.current(), f'{self.kernel}_backward')
        backward(y.reshape(-1), dy.reshape(-1), dx.reshape(-1), kernels.threads_for(y.size))
        return dx


class ReLU(Activation):
    """max(0, x), element by element.

    Shape: (N, ...) -> (N, ...). Gradient: passes where the output is positive.
    """

    kernel = 'relu'


class Sigmoid(Activation):
    """1 / (1 + exp(-x)), element by element: any number becomes one between 0 and 1.

    Shape: (N, ...) -> (N, ...). Gradient: dx = dy y (1 - y).
    """

    kernel = 'sigmoid'
