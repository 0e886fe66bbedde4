"""Dropout: numbers set to 0 at random, in training."""

import numpy as np

from cnnx import kernels
from cnnx._util.foreign_names import LAYER_KEYWORDS
from cnnx._util.hints import explained
from cnnx._util.validation import non_negative
from cnnx.layers.base import Layer


class Dropout(Layer):
    """In training, set each number to 0 with probability `rate` and divide the others by 1 - rate.

    Shape: (N, ...) -> (N, ...). Outside training the numbers pass unchanged: the division keeps their mean.
    Gradient: passes, divided likewise, where the number did.

    Each training pass draws a key from `generator`. The key and a number's place decide whether it is dropped, so the
    result does not depend on threads or backend.

    Source: Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", 2014.

    Args:
        rate: at least 0 and less than 1.
        input_shape: needed where it cannot be inferred from the layer before.

    Raises:
        ValueError: the rate is no such number.
    """

    only_in_training = True
    adjustable = ('rate',)

    @explained(LAYER_KEYWORDS)
    def __init__(self, rate, *, input_shape=None):
        super().__init__(input_shape)
        self.rate = non_negative(rate, 'rate', below=1)

    def draw_key(self):
        """Return the key of the next training pass."""
        return int(self.generator.integers(2**64, dtype=np.uint64)) if self.rate else 0

    def forward(self, x, training=False):
        x = self.check_input(x)
        if not training or self.rate == 0:
            self._saved = (x, None)
            return x
        key, y = self.draw_key(), self.empty('y', x.shape)
        self._saved = (x, key)
        kernels.current().dropout_forward(x.reshape(-1), y.reshape(-1), key, self.rate, kernels.threads_for(x.size))
        return y

    def backward(self, dy):
        dy = self.check_gradient(dy)
        _, key = self._saved
        if key is None:
            return dy
        dx = self.empty('dx', dy.shape)
        kernels.current().dropout_backward(dy.reshape(-1), dx.reshape(-1), key, self.rate, kernels.threads_for(dy.size))
        return dx
