"""Occlusion maps: how much a network's answer depends on each part of an image."""

import math

import numpy as np

from cnnx._util.validation import is_number, positive_int, shown
from cnnx.metrics import class_scores
from cnnx.training.prediction import predict_scores
from cnnx.visual.class_gradients import targets_of
from cnnx.visual.drawing import beside_images, images_of

AT_ONCE = 256  # covered images to a pass


def occlusion_heatmap(network, x, target=None, *, square_length=7, stride=1, fill=0.0):
    """Return the output for a class while a square covers each part of an image, (N, rows, columns).

    Entry (i, j) is the output with the square around the pixel (i stride, j stride), cut off at the edges. Where it
    is low, the network needs what was covered.

    Source: Zeiler and Fergus, "Visualizing and understanding convolutional networks", 2014, section 4.2.

    Args:
        network: a `cnnx.Network` for images, with one output a class.
        x: images (N, H, W, C), or one (H, W, C).
        target: a class for all, or one for each; None for those that the network predicts.
        square_length: the side of the square, an odd number of pixels.
        stride: pixels from one place of the square to the next; more is faster, and coarser.
        fill: what covers: a number, such as 0 for black.

    Raises:
        ValueError: an argument is none of these, or x does not fit the network.
    """
    x, stride = images_of(network, x), positive_int(stride, 'stride')
    if positive_int(square_length, 'square_length') % 2 == 0:
        raise ValueError(f'square_length: expected an odd number, so that it has a centre, got {square_length}')
    if not is_number(fill) or not math.isfinite(fill):
        raise ValueError(f'fill: expected a finite number, got {shown(fill)}')
    targets = targets_of(network, x, target)
    height, width = x.shape[1:3]
    half = square_length // 2
    centres = [(i, j) for i in range(0, height, stride) for j in range(0, width, stride)]
    maps = np.empty((len(x), len(centres)))
    for n, image in enumerate(x):
        for first in range(0, len(centres), AT_ONCE):
            part = centres[first : first + AT_ONCE]
            covered = np.repeat(image[np.newaxis], len(part), axis=0)
            for each, (i, j) in zip(covered, part, strict=True):
                each[max(i - half, 0) : i + half + 1, max(j - half, 0) : j + half + 1] = fill
            outputs = class_scores(predict_scores(network, covered))
            maps[n, first : first + len(part)] = outputs[:, targets[n]]
    return maps.reshape(len(x), -(-height // stride), -(-width // stride))


def plot_occlusion(network, x, target=None, *, square_length=7, stride=1, fill=0.0, path=None):
    """Draw images, and below each its occlusion map: what is bright, the network needs for the class.

    Args:
        network, x, target, square_length, stride, fill: as for `occlusion_heatmap`.
        path: the file to draw into: .png, .svg or .pdf; or None.

    Returns:
        The figure, a `matplotlib.figure.Figure`, where there is no path: a notebook shows it.

    Raises:
        ImportError: matplotlib is not installed.
        OSError, ValueError: an argument is wrong, or the file cannot be written.
    """
    x = images_of(network, x)
    targets = targets_of(network, x, target)
    square = {'square_length': square_length, 'stride': stride, 'fill': fill}
    maps = occlusion_heatmap(network, x, targets, **square)
    notes = [f'lowest: {each.min():.2f}' for each in maps]
    title = f'Occlusion by {square_length} x {square_length} pixels: covering what is bright lowers the output most'
    return beside_images(network, x, targets, -maps, title, over=True, notes=notes, path=path)
