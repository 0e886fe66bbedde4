from cnnx import kernels
from cnnx.layers.base import Layer


class Activation(Layer):
    """A function that keeps the shape, and whose gradient can be told from its output.

    A kind of activation names its pair of kernels, which take flat arrays unless it says otherwise.
    """

    kernel = None

    def _output_shape(self, input_shape):
        return input_shape

    def compute(self, x, training, empty):
        y = empty('y', x.shape, self.dtype)
        self._saved = (y,)
        self._run(f'{self.kernel}_forward', x, y)
        return y

    def compute_gradient(self, dy, empty, input_gradient=True):
        if not input_gradient:
            return None
        (y,) = self._saved
        dx = empty('dx', y.shape, self.dtype)
        self._run(f'{self.kernel}_backward', y, dy, dx)
        return dx

    def _run(self, name, *arrays):
        kernel = getattr(kernels.current(), name)
        kernel(*map(self._as_kernels_take_it, arrays), kernels.threads_for(arrays[0].size))

    def _as_kernels_take_it(self, array):
        return array.reshape(-1)


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
