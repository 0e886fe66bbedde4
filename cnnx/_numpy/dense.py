"""The fully connected layer: y = x weights + bias.

Letters: N samples, I inputs, O outputs.
"""

import numpy as np


def dense_forward(x, weights, bias, y, num_threads):
    """Compute y = x weights + bias."""
    np.matmul(x, weights, out=y)
    y += bias


def dense_backward_weights(x, dy, dweights, dbias, num_threads):
    """Compute dweights = x, transposed, times dy; dbias = sum of dy over the samples."""
    np.matmul(x.T, dy, out=dweights)
    np.sum(dy, axis=0, out=dbias)


def dense_backward_input(weights, dy, dx, num_threads):
    """Compute dx = dy times weights, transposed."""
    np.matmul(dy, weights.T, out=dx)
