"""Max-pooling that remembers where each maximum stood.

Letters: N samples; H, W rows and columns of the input; P, Q of the output; C channels.
"""

import numpy as np

from cnnx._numpy.convolution import padded_size, pixels_under


def check_pooling(window, image, positions):
    """Raise a ValueError unless the windows at `positions` (P, Q) stay within an image of (H, W)."""
    rows, columns = padded_size(window, positions)
    if rows > image[0] or columns > image[1]:
        raise ValueError(f'{positions[0]} x {positions[1]} windows reach beyond images of {image[0]} x {image[1]}')


def maxpool_forward(x, y, argmax, window, num_threads):
    """Y = maximum of each window; the first wins a tie, and a NaN wins over every number."""
    positions = y.shape[1:3]
    check_pooling(window, x.shape[1:3], positions)
    places = np.ndindex(window.height, window.width)
    windows = np.stack([x[:, *pixels_under(window, positions, r, s)] for r, s in places], axis=-1)
    argmax[...] = windows.argmax(axis=-1)
    y[...] = np.take_along_axis(windows, argmax[..., None], axis=-1)[..., 0]


def maxpool_backward(dy, argmax, dx, window, num_threads):
    """Dx = dy at each maximum, zero elsewhere; where windows overlap, their gradients add."""
    positions = dy.shape[1:3]
    check_pooling(window, dx.shape[1:3], positions)
    dx[...] = 0
    for place, (r, s) in enumerate(np.ndindex(window.height, window.width)):
        touched = dx[:, *pixels_under(window, positions, r, s)]
        touched += np.where(argmax == place, dy, 0)
