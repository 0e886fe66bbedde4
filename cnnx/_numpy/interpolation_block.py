"""The block that enlarges images by interpolation."""

import numpy as np

from cnnx._numpy.program import Block


class InterpolationBlock(Block):
    """Compute y = rows x columns, transposed, channel by channel."""

    def __init__(self, rows, columns, x, y, dy=None, dx=None):
        self.rows, self.columns = rows.astype(x.dtype), columns.astype(x.dtype)
        self.x, self.y, self.dy, self.dx = x, y, dy, dx

    def forward(self, samples, training):
        x = self.x[:samples]
        np.einsum('ph,qw,nhwc->npqc', self.rows, self.columns, x, out=self.y[:samples], optimize=True)

    def backward(self, samples):
        if self.dx is not None:
            dy = self.dy[:samples]
            np.einsum('ph,qw,npqc->nhwc', self.rows, self.columns, dy, out=self.dx[:samples], optimize=True)
