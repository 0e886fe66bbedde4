"""The filters of a convolution, as pictures."""

import numpy as np

from cnnx._util.figures import drawn
from cnnx.layers import Convolutional
from cnnx.training.activations import layer_index
from cnnx.visual.drawing import SIGNED, caption, checked_path, grid

MOST = 64


def conv_weights(network, layer=None):
    """Return the filters of a convolution, (filters, height, width, channels).

    Args:
        network: a `cnnx.Network`.
        layer: the index of a Convolutional layer; None for the first.

    Raises:
        ValueError: there is no such layer.
    """
    return network.layers[_conv_layer(network, layer)].weights.transpose(3, 0, 1, 2).copy()


def plot_conv_weights(network, layer=None, *, path=None):
    """Draw the filters of a convolution, a picture for each filter, the channels beside each other.

    Red is positive, blue negative, white 0, the same in all pictures. Filters of the first layer with three channels
    are drawn in colour (Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep convolutional neural
    networks", 2012, figure 3), grey being 0. At most 64 filters and 16 channels are drawn.

    Args:
        network, layer: as for `conv_weights`.
        path: the file to draw into: .png, .svg or .pdf; or None.

    Returns:
        The figure, a `matplotlib.figure.Figure`, where there is no path: a notebook shows it.

    Raises:
        ImportError: matplotlib is not installed.
        OSError, ValueError: an argument is wrong, or the file cannot be written.
    """
    path, index = checked_path(path), _conv_layer(network, layer)
    filters, where = conv_weights(network, index), network.layers[index].where
    count, height, width, channels = filters.shape
    largest = np.abs(filters).max() or 1
    coloured = index == 0 and channels == 3
    shown = filters[:MOST, ..., :16]
    wide = 1 if coloured else shown.shape[3]
    title = f'{where}: {count} filters of {height} x {width} x {channels}'
    size = (1.0, 1.0) if wide == 1 else (0.55 * wide, 0.55)
    columns, gap = min(len(shown), max(1, round(8.5 / size[0]))), 0.08 if wide == 1 else 0.3
    figure, axes = grid(len(shown), title, columns=columns, width=size[0], height=size[1], gap=gap)
    for number, (each, weights) in enumerate(zip(axes, shown, strict=True)):
        if coloured:
            each.imshow(weights / largest / 2 + 0.5)
        else:
            each.imshow(side_by_side(weights), cmap=SIGNED, vmin=-largest, vmax=largest)
        caption(each, f'{number}')
    return drawn(figure, path)


def side_by_side(maps):
    """Return maps (height, width, channels) as one, (height, width'), with a column of NaN between two."""
    padded = np.pad(maps, ((0, 0), (0, 1), (0, 0)), constant_values=np.nan)
    return padded.transpose(0, 2, 1).reshape(len(maps), -1)[:, :-1]


def _conv_layer(network, layer):
    found = [each.index for each in network.layers if isinstance(each, Convolutional)]
    if not found:
        raise ValueError('expected a network with a Convolutional layer, it has none')
    index = found[0] if layer is None else layer_index(network, layer, 'layer')
    if index not in found:
        where, there = network.layers[index].where, ', '.join(map(str, found))
        raise ValueError(f'layer: expected a Convolutional layer, here {there}, got {where}')
    return index
