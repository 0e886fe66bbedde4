"""What a unit answers to most: the samples of a data set for which it is largest."""

from typing import NamedTuple

import numpy as np

from cnnx._util.figures import drawn
from cnnx._util.validation import positive_int, whole_number
from cnnx.training.activations import layer_index
from cnnx.visual.drawing import caption, checked_path, grid, images_of, show_image
from cnnx.visual.receptive_field import receptive_field

AT_ONCE = 256


class TopActivations(NamedTuple):
    """The samples for which a unit is largest, the largest first.

    Attributes:
        indices: of the samples, (count,) int.
        values: of the unit, (count,).
        positions: where it is largest, (count, axes): (row, column) of a feature map; without columns for a dense unit.
    """

    indices: np.ndarray
    values: np.ndarray
    positions: np.ndarray


def top_activations(network, x, layer, unit, count=9):
    """Return the samples for which a unit is largest, over all positions of its feature map.

    Source: Zeiler and Fergus, "Visualizing and understanding convolutional networks", 2014, figure 2.

    Args:
        network: a `cnnx.Network`.
        x: samples (N, ...).
        layer: the index of a layer.
        unit: which of its units, or channels of feature maps, from 0 on.
        count: how many samples, at most.

    Returns:
        A `TopActivations`.

    Raises:
        ValueError: an argument is none of these, or x does not fit the network.
    """
    layer, count = layer_index(network, layer, 'layer'), positive_int(count, 'count')
    unit = _checked_unit(network, layer, unit)
    return _top(network, layer, *largest_of_units(network, x, layer), unit, count)


def largest_of_units(network, x, layer):
    """Return the largest number of each unit for each sample, (N, units), and its position, flat, likewise."""
    x, units = network.check_samples(x, 'x'), network.layers[layer].shape[-1]
    values, places = np.empty((len(x), units)), np.empty((len(x), units), int)
    for first in range(0, len(x), AT_ONCE):
        (outputs,) = network.activations(x[first : first + AT_ONCE], [layer])
        flat = outputs.reshape(len(outputs), -1, units)
        values[first : first + AT_ONCE], places[first : first + AT_ONCE] = flat.max(axis=1), flat.argmax(axis=1)
    return values, places


def _top(network, layer, values, places, unit, count):
    best = np.argsort(-values[:, unit], kind='stable')[:count]
    axes = network.layers[layer].shape[:-1]
    positions = np.unravel_index(places[best, unit], axes) if axes else ()
    return TopActivations(best, values[best, unit], np.array(positions, int).reshape(len(axes), len(best)).T)


def _checked_unit(network, layer, unit):
    count = network.layers[layer].shape[-1]
    if whole_number(unit, 'unit') >= count:
        raise ValueError(f'unit: expected at most {count - 1}, {network.layers[layer].where} has {count}, got {unit}')
    return int(unit)


def plot_top_activations(network, x, layer, unit=None, count=9, *, path=None):
    """Draw the images for which units are largest, with a frame around the part that the unit sees.

    Args:
        network: a `cnnx.Network` for images.
        x: images (N, H, W, C).
        layer: the index of a layer.
        unit: which of its units; None for a row each of the first eight.
        count: how many images of each unit, at most.
        path: the file to draw into: .png, .svg or .pdf; or None.

    Returns:
        The figure, a `matplotlib.figure.Figure`, where there is no path: a notebook shows it.

    Raises:
        ImportError: matplotlib is not installed.
        OSError, ValueError: an argument is wrong, or the file cannot be written.
    """
    path, x, layer = checked_path(path), images_of(network, x), layer_index(network, layer, 'layer')
    count = positive_int(count, 'count')
    units = range(min(8, network.layers[layer].shape[-1])) if unit is None else [_checked_unit(network, layer, unit)]
    found = largest_of_units(network, x, layer)
    rows = [(each, _top(network, layer, *found, each, count)) for each in units]
    columns = min(count, len(x))
    title = f'{network.layers[layer].where}: the images that its units answer to most'
    if len(network.layers[layer].shape) == 3:
        title += ', with what each sees'
    figure, axes = grid(len(rows) * columns, title, columns=columns, width=1.0, height=1.0)
    for row, (number, top) in enumerate(rows):
        for i, index in enumerate(top.indices):
            each = axes[row * columns + i]
            show_image(each, x[index])
            caption(each, f'unit {number}: {top.values[i]:.2f}' if i == 0 else f'{top.values[i]:.2f}')
            if top.positions.shape[1] == 2:
                _frame(each, receptive_field(network, layer, *top.positions[i]))
    return drawn(figure, path)


def _frame(axes, field):
    from matplotlib.patches import Rectangle

    top, bottom, left, right = field
    axes.add_patch(
        Rectangle((left - 0.5, top - 0.5), right - left, bottom - top, fill=False, edgecolor='#ff9f1c', lw=1.5)
    )
