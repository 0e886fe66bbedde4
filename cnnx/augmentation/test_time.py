"""Test-time augmentation: predictions averaged over small shifts of the images."""

import itertools

import numpy as np

from cnnx._util.arrays import as_numbers
from cnnx._util.validation import whole_number


def predict_shifted(predict, x, pixels=1):
    """Return the mean of the predictions for images and for all their shifts by up to so many pixels.

    With 1 pixel these are 9 predictions for each image, whose errors cancel in part. Pixels that are shifted in at the
    edges are 0.

    Args:
        predict: a function of images that returns an array with a row for each, such as `net.predict`.
        x: images (N, height, width, channels).
        pixels: the largest shift in each direction, less than height and width; 0 predicts the images as they are.

    Returns:
        The mean, an array with the shape of the predictions.

    Raises:
        ValueError: x or pixels has another form, or `predict` does not take x.

    Source: Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep convolutional neural networks", 2012,
    section 4.1, who average over five positions and their reflections.
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
