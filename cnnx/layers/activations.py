from cnnx import kernels
from cnnx._util.validation import non_negative
from cnnx.layers.base import Layer


class Activation(Layer):
    """A function that keeps the shape, and whose gradient can be told from its output.

    A kind of activation names its pair of kernels, which take flat arrays unless it says otherwise, and sets
    `_kernel_options` to what they take beside arrays.
    """

    kernel = None
    _kernel_options = ()

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
        flat = map(self._as_kernels_take_it, arrays)
        kernel(*flat, *self._kernel_options, kernels.threads_for(arrays[0].size))

    def _as_kernels_take_it(self, array):
        return array.reshape(-1)


class ReLU(Activation):
    """max(0, x), element by element.

    Shape: (N, ...) -> (N, ...). Gradient: passes where the output is positive.
    """

    kernel = 'relu'


class LeakyReLU(Activation):
    """x where it is positive, else negative_slope x, element by element: no input is without gradient.

    Shape: (N, ...) -> (N, ...). Gradient: dx = dy where the output is positive, else negative_slope dy.

    Source: Maas et al., "Rectifier nonlinearities improve neural network acoustic models", 2013.

    Args:
        negative_slope: a finite number of at least 0. The output keeps the input's sign, or is 0 where it is
            not positive, so the gradient can be told from it for all of these: 0 makes a ReLU (but for an
            infinite input: 0 times it is NaN), 1 the identity, and more makes negative numbers larger.
        input_shape: needed where it cannot be inferred from the layer before.

    Raises:
        ValueError: negative_slope is no such number.
    """

    kernel = 'leaky_relu'
    adjustable = planned = ('negative_slope',)

    def __init__(self, negative_slope=0.01, input_shape=None):
        super().__init__(input_shape)
        self.negative_slope = non_negative(negative_slope, 'negative_slope')

    @property
    def _kernel_options(self):
        return (self.negative_slope,)

    def settings(self):
        return {'negative_slope': self.negative_slope}


class Sigmoid(Activation):
    """1 / (1 + exp(-x)), element by element: any number becomes one between 0 and 1.

    Shape: (N, ...) -> (N, ...). Gradient: dx = dy y (1 - y).
    """

    kernel = 'sigmoid'


class Tanh(Activation):
    """The hyperbolic tangent, element by element: any number becomes one between -1 and 1.

    Shape: (N, ...) -> (N, ...). Gradient: dx = dy (1 - y^2).
    """

    kernel = 'tanh'
