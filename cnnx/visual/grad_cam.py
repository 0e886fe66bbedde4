"""Grad-CAM: where in an image a convolutional layer finds what speaks for a class."""

import numpy as np

from cnnx.layers import Convolutional, TransposedConvolutional
from cnnx.layers.activations import Activation
from cnnx.training.activations import layer_index
from cnnx.visual.class_gradients import class_gradients, targets_of
from cnnx.visual.drawing import beside_images, images_of


def gradcam(network, x, target=None, layer=None):
    """Return Grad-CAM heat maps, (N, height, width) of a layer's feature maps: where they speak for a class.

    With A^k a feature map of the layer and a_k the mean over its positions of the gradient of the class score by it,
    the heat map is ReLU(sum over k of a_k A^k).

    Source: Selvaraju et al., "Grad-CAM: visual explanations from deep networks via gradient-based localization", 2017,
    equations 1 and 2.

    Args:
        network: a `cnnx.Network` with one output a class.
        x: images (N, H, W, C), or one (H, W, C).
        target: a class for all, or one for each; None for those that the network predicts.
        layer: the index of a layer that gives feature maps (N, height, width, channels); None for the last
            convolution, or the activation just after it.

    Raises:
        ValueError: an argument is none of these, or x does not fit the network.
    """
    x, layer = images_of(network, x), map_layer(network, layer)
    found = class_gradients(network, x, target)
    weights = found.of_outputs[layer].mean(axis=(1, 2), keepdims=True)
    return np.maximum((weights * found.outputs[layer]).sum(axis=3), 0)


def plot_gradcam(network, x, target=None, layer=None, *, path=None):
    """Draw images, and below each its Grad-CAM heat map over it.

    Args:
        network, x, target, layer: as for `gradcam`.
        path: the file to draw into: .png, .svg or .pdf; or None.

    Returns:
        The figure, a `matplotlib.figure.Figure`, where there is no path: a notebook shows it.

    Raises:
        ImportError: matplotlib is not installed.
        OSError, ValueError: an argument is wrong, or the file cannot be written.
    """
    x, layer = images_of(network, x), map_layer(network, layer)
    targets = targets_of(network, x, target)
    title = f'Grad-CAM of {network.layers[layer].where}: what is bright speaks for the class'
    return beside_images(network, x, targets, gradcam(network, x, targets, layer), title, over=True, path=path)


def map_layer(network, layer=None):
    """Return the index of a layer with feature maps; by default the last convolution, or the activation after it.

    Raises:
        ValueError: the layer gives no feature maps, or the network has no convolution.
    """
    layers = network.layers
    if layer is not None:
        index = layer_index(network, layer, 'layer')
        if len(layers[index].shape) != 3:
            raise ValueError(
                f'layer: expected one that gives feature maps (height, width, channels), {layers[index].where} gives '
                f'{layers[index].shape}'
            )
        return index
    found = [each.index for each in layers if isinstance(each, (Convolutional, TransposedConvolutional))]
    if not found:
        raise ValueError('expected a network with a Convolutional layer, it has none; give the index of a layer')
    after = found[-1] + 1
    is_activated = (
        after < len(layers) and isinstance(layers[after], Activation) and network.reads[after] == (after - 1,)
    )
    return after if is_activated else found[-1]
