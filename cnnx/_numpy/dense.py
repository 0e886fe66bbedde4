"""The fully connected layer: y = x weights + bias.

Letters: N samples, I inputs, O outputs.
"""

import numpy as np


def dense_forward(x, weights, bias, y, num_threads):
    """Y = x weights + bias."""
    np.matmul(x, weights, out=y)
    y += bias


def dense_backward_weights(x, dy, dweights, dbias, num_threads):
    """Dweights = x, transposed, times dy; dbias = sum of dy over the samples."""
    np.matmul(x.T, dy, out=dweights)
    np.sum(dy, axis=0, out=dbias)


def dense_backward_input(weights, dy, dx, num_threads):
    """Dx = dy times weights, transposed."""
    np.matmul(dy, weights.T, out=dx)
