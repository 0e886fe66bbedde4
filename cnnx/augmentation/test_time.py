"""Test-time augmentation: predictions averaged over small shifts of the images (Krizhevsky et al., 2012)."""

import itertools

import numpy as np

from cnnx._util.arrays import as_numbers
from cnnx._util.validation import whole_number


def predict_with_shifts(predict, x, pixels=1):
    """Return the mean of the predictions for images shifted by up to `pixels` each way, the unshifted ones included.

    With 1 pixel these are 9 predictions for each image. An image that is shifted by a pixel shows the same, and the
    errors of the predictions cancel in part. Zeros come in at the edges.

    Args:
        predict: a function of images (N, height, width, channels) that returns an array (N, ...), as `net.predict` is.
        x: images (N, height, width, channels).
        pixels: the largest shift, at least 0 (no shift) and less than height and width.

    Returns:
        An array of the shape that `predict` returns.

    Raises:
        ValueError: x is not an array of images, pixels is out of its range, or `predict` does not take x.

    Source: Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep convolutional neural networks", 2012,
    section 4.1, who average over five places and their reflections.
    """
    x = as_numbers(x, 'x')
    if x.ndim != 4:
        raise ValueError(f'x: expected images (N, height, width, channels), got shape {x.shape}')
    height, width = x.shape[1:3]
    pixels = whole_number(pixels, 'pixels')
    if pixels >= min(height, width):
        raise ValueError(f'pixels: expected less than the {height} x {width} of the images, got {pixels}')
    padded = np.pad(x, ((0, 0), (pixels, pixels), (pixels, pixels), (0, 0)))
    places = list(itertools.product(range(2 * pixels + 1), repeat=2))
    outputs = [predict(padded[:, row : row + height, column : column + width]) for row, column in places]
    return np.mean(outputs, axis=0)
