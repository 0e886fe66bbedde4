"""Image augmentation: resampling by affine maps and displacements, fields of elastic distortion, random erasing."""

import numpy as np

from cnnx._numpy.dropout import random_bits


def resample(x, y, matrices, displacements, outside, fill, num_threads):
    """Compute y[n, p, q] = x[n] at (row, column) = matrices[n] (p, q, 1) + displacements[n, :, p, q].

    Interpolation is bilinear. Outside of the image is, by the name `outside`, the number `fill` ('fill'), the nearest
    pixel ('edge'), or the image mirrored at its outermost pixels ('reflect').
    """
    if outside not in ('fill', 'edge', 'reflect'):
        raise ValueError(f"outside: expected 'fill', 'edge' or 'reflect', got {outside!r}")
    if x.size == 0:
        return
    N, H, W, _ = x.shape
    matrices = matrices.reshape(N, 2, 3, 1, 1)
    p, q = np.arange(H, dtype=x.dtype)[:, None], np.arange(W, dtype=x.dtype)
    places = matrices[:, :, 0] * p + matrices[:, :, 1] * q + matrices[:, :, 2]
    if displacements is not None:
        places += displacements
    if outside == 'reflect':
        period = np.maximum(2 * (np.array([H, W], x.dtype) - 1), 1).reshape(2, 1, 1)
        places -= period * np.floor(places / period)
        places = np.minimum(places, period - places)
    bordered = np.pad(x, ((0, 0), (1, 2), (1, 2), (0, 0)), constant_values=fill)
    border = 1 if outside == 'fill' else 0
    last = np.array([H + border, W + border], x.dtype).reshape(2, 1, 1)
    places = np.fmin(np.fmax(places + 1, 1 - border), last)  # of a NaN and a number, the number
    whole = places.astype(np.intp)
    row_fractions, column_fractions = np.moveaxis(places - whole.astype(x.dtype), 1, 0)[..., None]
    rows, columns = np.moveaxis(whole, 1, 0)
    images = np.arange(N)[:, None, None]
    above, below = (_between(bordered, images, rows + i, columns, column_fractions) for i in (0, 1))
    y[...] = above + row_fractions * (below - above)


def _between(bordered, images, rows, columns, fractions):
    left, right = bordered[images, rows, columns], bordered[images, rows, columns + 1]
    return left + fractions * (right - left)


def elastic_fields(displacements, weights, spacing, key, alpha, num_threads):
    """Compute displacements = alpha times uniform noise in [-1, 1), smoothed by weights along rows and columns.

    Noise is drawn at each `spacing`-th row and column, up to the first one that is not before the last pixel. Between
    these, displacements are interpolated bilinearly. One random number of 64 bits gives the noise of a place: its
    upper half that of the row, its lower half that of the column.
    """
    N, two, H, W = displacements.shape
    if two != 2 or len(weights) == 0 or spacing < 1:
        raise ValueError(
            f'expected displacements (N, 2, H, W), weights and a spacing of at least 1, '
            f'got {displacements.shape}, {weights.shape} and {spacing}'
        )
    rows, columns = (-(-(size - 1) // spacing) + 1 for size in (H, W))
    bits = random_bits(key, N * rows * columns).reshape(N, 1, rows, columns)
    noise = np.concatenate([bits >> np.uint64(32), bits & np.uint64(0xFFFFFFFF)], axis=1)
    noise = noise.astype(np.uint32).view(np.int32).astype(weights.dtype) * weights.dtype.type(alpha * 2.0**-31)
    smoothed = _smooth(_smooth(noise, weights, 3), weights, 2)
    displacements[...] = _lengthen(_lengthen(smoothed, spacing, W, 3), spacing, H, 2)


def _lengthen(field, spacing, size, axis):
    """Return a field with so many places along an axis, linear between those that it has."""
    place, beyond = np.divmod(np.arange(size), spacing)
    shape = [-1 if i == axis else 1 for i in range(field.ndim)]
    before, after = field.take(place, axis), field.take(place + (beyond > 0), axis)
    return before + (beyond / spacing).astype(field.dtype).reshape(shape) * (after - before)


def _smooth(field, weights, axis):
    """Return a field smoothed along an axis, with zeros outside."""
    size, radius = field.shape[axis], len(weights) - 1
    margins = [(radius, radius) if i == axis else (0, 0) for i in range(field.ndim)]
    padded = np.moveaxis(np.pad(field, margins), axis, 0)
    smoothed = weights[0] * padded[radius : radius + size]
    for k in range(1, radius + 1):
        smoothed += weights[k] * (padded[radius - k :][:size] + padded[radius + k :][:size])
    return np.moveaxis(smoothed, 0, axis)


def erase(x, boxes, key, low, high, num_threads):
    """Fill each box, as far as it lies in its image, with numbers drawn uniformly from low to high."""
    top, left, bottom, right = boxes.T[:, :, None, None]
    rows, columns = np.arange(x.shape[1])[:, None], np.arange(x.shape[2])
    inside = (rows >= top) & (rows < bottom) & (columns >= left) & (columns < right)
    uniform = (random_bits(key, x.size) >> np.uint64(11)) * 2.0**-53
    x[inside] = (low + (high - low) * uniform.reshape(x.shape))[inside]
