"""What a network says of images, averaged over small shifts of them."""

import itertools

import numpy as np

from cnnx._util.arrays import as_numbers
from cnnx._util.validation import whole_number


def predict_shifted(predict, x, pixels=1):
    """Return the mean of what is predicted of images, and of them shifted by up to so many pixels each way.

    With 1 pixel these are 9 images each. An image that is shifted by a pixel shows the same, and the errors of several
    looks at it cancel in part. Zeros come in at the edges.

    Args:
        predict: a function of images that returns an array, a row each, such as `net.predict`.
        x: images (N, height, width, channels).
        pixels: at least 0, which is the images as they are, and less than height and width.

    Raises:
        ValueError: x or pixels is no such thing, or `predict` does not take x.

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
