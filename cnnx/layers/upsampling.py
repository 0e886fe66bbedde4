"""UpSampling: images enlarged by repeating pixels, or by bilinear interpolation between them."""

import numpy as np

from cnnx import kernels
from cnnx._util.windows import check_image, pair
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
        counts = _nearest if self.interpolation == 'nearest' else _bilinear
        self.rows, self.columns = map(counts, input_shape[:2], self.size)

    def forward(self, x, training=False):
        x = self.check_input(x)
        self._saved = (x,)
        y = self.empty('y', (len(x), *self.shape))
        return self._run(self.rows, self.columns, x, y)

    def backward(self, dy):
        dy = self.check_gradient(dy)
        return self._run(self.rows.T, self.columns.T, dy, self.empty('dx', (len(dy), *self.input_shape)))

    def _run(self, rows, columns, x, y):
        rows, columns = (np.ascontiguousarray(matrix, self.dtype) for matrix in (rows, columns))
        kernels.current().interpolate(rows, columns, x, y, kernels.threads_for(y.size))
        return y


def _nearest(size, factor):
    """Return how much each of `size` pixels counts for each of those that lie `factor` times as dense: a matrix."""
    return np.repeat(np.eye(size), factor, axis=0)


def _bilinear(size, factor):
    """Return what `_nearest` does, with the pixels before and behind counting by their distance."""
    places = np.clip((np.arange(size * factor) + 0.5) / factor - 0.5, 0, size - 1)
    return np.maximum(0, 1 - np.abs(places[:, np.newaxis] - np.arange(size)))
