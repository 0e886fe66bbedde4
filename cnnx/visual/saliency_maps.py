"""Saliency maps: which pixels change the score of a class most."""

import numpy as np

from cnnx._util.generators import new_generator
from cnnx._util.validation import non_negative, whole_number
from cnnx.visual.class_gradients import class_gradients, targets_of
from cnnx.visual.drawing import beside_images, images_of


def saliency(network, x, target=None, *, smooth_samples=0, smooth_noise=0.2, seed=0):
    """Return saliency maps, (N, H, W): the size of the gradient of a class score by each pixel, the largest channel's.

    With `smooth_samples`, it is SmoothGrad: the mean of the gradients at so many copies of the image with normal
    noise. That is less speckled, since a gradient at one point changes quickly from point to point.

    Sources: Simonyan, Vedaldi and Zisserman, "Deep inside convolutional networks: visualising image classification
    models and saliency maps", 2014, section 3; Smilkov et al., "SmoothGrad: removing noise by adding noise", 2017.

    Args:
        network: a `cnnx.Network` for images, with one output a class.
        x: images (N, H, W, C), or one (H, W, C).
        target: a class for all, or one for each; None for those that the network predicts.
        smooth_samples: how many noisy copies of each image; 0 for the image alone. The paper has 50.
        smooth_noise: the standard deviation of the noise, as a fraction of the image's range of values.
        seed: of the noise.

    Raises:
        ValueError: an argument is none of these, or x does not fit the network.
    """
    x, copies = images_of(network, x), whole_number(smooth_samples, 'smooth_samples')
    noise, rng = non_negative(smooth_noise, 'smooth_noise'), new_generator(whole_number(seed, 'seed'))
    targets = targets_of(network, x, target)
    if copies == 0:
        gradient = class_gradients(network, x, targets).of_input
    else:
        spread = noise * np.ptp(x, axis=(1, 2, 3), keepdims=True)
        gradient = np.zeros(x.shape)
        for _ in range(copies):
            noisy = x + spread * rng.standard_normal(x.shape)
            gradient += class_gradients(network, noisy, targets).of_input / copies
    return np.abs(gradient).max(axis=3)


def plot_saliency(network, x, target=None, *, smooth_samples=0, smooth_noise=0.2, seed=0, path=None):
    """Draw images, and below each its saliency map.

    Args:
        network, x, target, smooth_samples, smooth_noise, seed: as for `saliency`.
        path: the file to draw into: .png, .svg or .pdf; or None.

    Returns:
        The figure, a `matplotlib.figure.Figure`, where there is no path: a notebook shows it.

    Raises:
        ImportError: matplotlib is not installed.
        OSError, ValueError: an argument is wrong, or the file cannot be written.
    """
    x = images_of(network, x)
    targets = targets_of(network, x, target)
    smooth = {'smooth_samples': smooth_samples, 'smooth_noise': smooth_noise, 'seed': seed}
    maps = saliency(network, x, targets, **smooth)
    title = f'SmoothGrad of {smooth_samples} noisy copies' if smooth_samples else 'Saliency'
    return beside_images(network, x, targets, maps, f'{title}: bright pixels change the score most', path=path)
