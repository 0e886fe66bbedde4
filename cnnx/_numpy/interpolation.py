"""Lines of an array as sums of neighbouring lines: images enlarged by interpolation, and the way back.

Letters: N images, H lines of an image before, P after, L numbers to a line.
"""

import numpy as np


def interpolate(matrix, x, y, num_threads):
    """Compute y[n] = matrix x[n]; only what lies between a row's first and last number that is not zero is read."""
    for p, row in enumerate(matrix):
        there = np.flatnonzero(row)
        band = slice(there[0], there[-1] + 1) if len(there) else slice(0)
        y[:, p] = np.matmul(row[band], x[:, band])
