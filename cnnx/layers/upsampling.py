"""UpSampling: images enlarged by repeating pixels, or by bilinear interpolation between them."""

import numpy as np

from cnnx import kernels
from cnnx._util.windows import Window, check_image, pair
from cnnx.layers.base import Layer

INTERPOLATIONS = ('nearest', 'bilinear')


class UpSampling(Layer):
    """Enlarge an image by whole factors.

    Shape: (N, H, W, C) -> (N, H height, W width, C), for a size of (height, width).

    'nearest' repeats each pixel. 'bilinear' takes y[p] = (1 - f) x[i] + f x[i + 1], i + f = (p + 0.5) / height - 0.5,
    along the rows, and likewise along the columns; beyond the edges lie the pixels at the edges (as in Keras; PyTorch
    calls it align_corners=False). Gradient: each pixel gets the sum of dy, times what it counted for.

    Args:
        size: a whole number, or a pair (height, width): how many times larger.
        interpolation: 'nearest' or 'bilinear'.
        input_shape: (H, W, C); needed where it cannot be inferred from the layer before.

    Raises:
        ValueError: an argument is none of these.
    """

    def __init__(self, size=2, *, interpolation='nearest', input_shape=None):
        super().__init__(input_shape)
        self.size = pair(size, 'size')
        if interpolation not in INTERPOLATIONS:
            raise ValueError(f'interpolation: expected one of {", ".join(INTERPOLATIONS)}, got {interpolation!r}')
        self.interpolation = interpolation

    def output_shape(self, input_shape):
        check_image(input_shape)
        return (input_shape[0] * self.size[0], input_shape[1] * self.size[1], input_shape[2])

    def build(self, input_shape):
        self.window = Window(*self.size, *self.size)
        if self.interpolation == 'bilinear':
            self._rows, self._columns = map(_interpolation, input_shape[:2], self.size)

    def forward(self, x, training=False):
        x = self.check_input(x)
        self._saved = (x,)
        (N, H, W, C), (height, width) = x.shape, self.size
        y = self.empty('y', (N, *self.shape))
        if self.interpolation == 'bilinear':
            rows, columns, between = self._matrices(N)
            np.matmul(columns, x, out=between)
            line = W * width * C
            np.matmul(rows, between.reshape(N, H, line), out=y.reshape(N, H * height, line))
        else:
            y.reshape(N, H, height, W, width, C)[...] = x[:, :, np.newaxis, :, np.newaxis]
        return y

    def backward(self, dy):
        dy = self.check_gradient(dy)
        N, (H, W, C), (height, width) = len(dy), self.input_shape, self.size
        dx = self.empty('dx', (N, H, W, C))
        if self.interpolation == 'bilinear':
            rows, columns, between = self._matrices(N)
            line = W * width * C
            np.matmul(rows.T, dy.reshape(N, H * height, line), out=between.reshape(N, H, line))
            np.matmul(columns.T, between, out=dx)
        else:
            kernels.current().averagepool_forward(dy, dx, self.window, kernels.threads_for(dy.size))
            dx *= height * width
        return dx

    def _matrices(self, samples):
        """Return how rows and columns are made, and an array for images of which the columns are made alone."""
        between = self.empty('between', (samples, self.input_shape[0], *self.shape[1:]))
        return self._rows.astype(self.dtype), self._columns.astype(self.dtype), between


def _interpolation(size, factor):
    """Return how much each of `size` pixels counts for each of those that lie `factor` times as dense: a matrix."""
    places = np.clip((np.arange(size * factor) + 0.5) / factor - 0.5, 0, size - 1)
    return np.maximum(0, 1 - np.abs(places[:, np.newaxis] - np.arange(size)))
