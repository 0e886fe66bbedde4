import numpy as np

from cnnx import kernels
from cnnx._util.validation import non_negative
from cnnx.layers.base import Layer


class Dropout(Layer):
    """In training, set each number to 0 with probability `rate` and divide the others by 1 - rate.

    Shape: (N, ...) -> (N, ...). Outside training the numbers pass unchanged: the division keeps their mean.
    Gradient: passes, divided likewise, where the number did.

    Each training pass draws a key from `generator`; key and place decide what is dropped, so a network's
    generator decides all of it, whatever the number of threads and on either backend.

    Source: Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", 2014.

    Args:
        rate: at least 0 and less than 1.
        input_shape: needed where it cannot be inferred from the layer before.

    Raises:
        ValueError: the rate is no such number.
    """

    only_in_training = True
    adjustable = ('rate',)

    def __init__(self, rate, input_shape=None):
        super().__init__(input_shape)
        self.rate = non_negative(rate, 'rate', below=1)

    def settings(self):
        return {'rate': self.rate}

    def _output_shape(self, input_shape):
        return input_shape

    def draw_key(self):
        """Return what tells which numbers the next training pass drops."""
        return int(self.generator.integers(2**64, dtype=np.uint64)) if self.rate else 0

    def compute(self, x, training, empty):
        if not training or self.rate == 0:
            self._saved = (x, None)
            return x
        key = self.draw_key()
        self._saved = (x, key)
        return self._run('dropout_forward', x, empty('y', x.shape, self.dtype), key)

    def compute_gradient(self, dy, empty, input_gradient=True):
        _, key = self._saved
        if not input_gradient:
            return None
        return dy if key is None else self._run('dropout_backward', dy, empty('dx', dy.shape, self.dtype), key)

    def _run(self, name, array, result, key):
        kernel = getattr(kernels.current(), name)
        kernel(array.reshape(-1), result.reshape(-1), key, self.rate, kernels.threads_for(array.size))
        return result
