"""Images enlarged by interpolation, and the way back: a kernel, and a block.

Letters: N images; H, W, C rows, columns and channels before; P, Q rows and columns after.
"""

import numpy as np

from cnnx._numpy.program import Block


def interpolate(rows, columns, x, y, num_threads):
    """Compute y = rows x columns, transposed, channel by channel.

    Of a matrix, only what lies between the first and the last number of a row that is not zero is read.
    """
    between = _lines(columns, x.swapaxes(1, 2)).swapaxes(1, 2)
    y[...] = _lines(rows, between)


def _lines(matrix, x):
    """Return matrix x[n] for each n."""
    y = np.zeros((len(x), len(matrix), *x.shape[2:]), x.dtype)
    for p, row in enumerate(matrix):
        there = np.flatnonzero(row)
        for h in range(there[0], there[-1] + 1) if len(there) else ():
            y[:, p] += row[h] * x[:, h]
    return y


class InterpolationBlock(Block):
    """Compute y = rows x columns, transposed, channel by channel."""

    def __init__(self, rows, columns, x, y, dy=None, dx=None):
        self.rows, self.columns = rows.astype(x.dtype), columns.astype(x.dtype)
        self.x, self.y, self.dy, self.dx = x, y, dy, dx

    def forward(self, samples, training):
        interpolate(self.rows, self.columns, self.x[:samples], self.y[:samples], 1)

    def backward(self, samples):
        if self.dx is not None:
            interpolate(self.rows.T, self.columns.T, self.dy[:samples], self.dx[:samples], 1)
