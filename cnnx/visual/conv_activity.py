"""The feature maps of an image, layer by layer."""

import numpy as np

from cnnx._util.figures import drawn
from cnnx._util.validation import shown
from cnnx.layers import Flatten, Sigmoid
from cnnx.training.activations import layer_index, layers_of
from cnnx.visual.drawing import GREY, MARGIN, SIGNED, TOP, checked_path, images_of, names_of, place, sheet, show_image

MOST = 16  # feature maps of a layer
STRIP = 60  # units in a row
# Inches: labels, feature maps, rows of units, the bars of classes, what is between layers.
LEFT, SIDE, UNIT, ANSWER, GAP = 1.35, 0.55, 0.24, 0.85, 0.14


def plot_conv_activity(network, x, layers=None, *, path=None):
    """Draw what each layer gives for an image: feature maps as pictures, the units of dense layers as a strip.

    Red is positive, blue negative, white 0, up to the largest number of each layer. `Network.activations` gives the
    numbers. At most 16 feature maps of a layer are drawn.

    Source of the idea: Zeiler and Fergus, "Visualizing and understanding convolutional networks", 2014, section 2.

    Args:
        network: a `cnnx.Network` for images.
        x: an image (H, W, C), or (1, H, W, C).
        layers: the indices of the layers to draw, a list; None for all but Flatten and those that act in training only.
        path: the file to draw into: .png, .svg or .pdf; or None.

    Returns:
        The figure, a `matplotlib.figure.Figure`, where there is no path: a notebook shows it.

    Raises:
        ImportError: matplotlib is not installed.
        OSError, ValueError: an argument is wrong, or the file cannot be written.
    """
    path, x = checked_path(path), images_of(network, x)
    if len(x) != 1:
        raise ValueError(f'x: expected one image, got {len(x)}')
    if layers is None:
        layers = [
            i for i, each in enumerate(network.layers) if not (isinstance(each, Flatten) or each.only_in_training)
        ]
    layers = [layer_index(network, i) for i in layers_of(layers)]
    if not layers:
        raise ValueError(f'layers: expected at least one layer, got {shown(layers)}')
    outputs = [array[0] for array in network.activations(x, layers)]
    answers = [_is_answer(network, i) for i in layers]
    heights = [SIDE, *(ANSWER if is_answer else _height(y) for y, is_answer in zip(outputs, answers, strict=True))]
    tops = np.cumsum([TOP, *(height + GAP for height in heights)])
    title = 'What each layer gives: blue is positive, red negative, white 0'
    figure = sheet(LEFT + MOST * (SIDE + 0.05) + MARGIN, tops[-1] + 0.1, title)
    _label(figure, tops[0], 'input', x[0].shape, SIDE)
    show_image(place(figure, LEFT, tops[0], SIDE, SIDE), x[0])
    for top, height, output, i, is_answer in zip(tops[1:-1], heights[1:], outputs, layers, answers, strict=True):
        _label(figure, top, f'{i} {type(network.layers[i]).__name__}', output.shape, height)
        if is_answer:
            _draw_answer(figure, top, output, network)
        elif output.ndim == 3:
            _draw_maps(figure, top, output)
        else:
            _draw_strip(figure, top, height, output)
    return drawn(figure, path)


def _is_answer(network, layer):
    """Whether a layer gives one output a class, few enough to name them."""
    last = len(network.layers) - 1
    return layer == last and len(network.layers[last].shape) == 1 and network.layers[last].shape[0] <= MOST


def _height(output):
    return SIDE if output.ndim == 3 else max(UNIT * -(-output.size // STRIP), 0.3)


def _label(figure, top, name, shape, height):
    axes = place(figure, MARGIN, top, LEFT - MARGIN, height)
    more = f', first {MOST}' if len(shape) == 3 and name != 'input' and shape[2] > MOST else ''
    axes.text(0, 0.5, f'{name}\n{" x ".join(map(str, shape))}{more}', va='center', fontsize=8, color=GREY)


def _draw_maps(figure, top, maps):
    largest = np.abs(maps).max() or 1
    for channel in range(min(maps.shape[2], MOST)):
        axes = place(figure, LEFT + channel * (SIDE + 0.05), top, SIDE, SIDE)
        axes.imshow(maps[..., channel], cmap=SIGNED, vmin=-largest, vmax=largest)


def _draw_strip(figure, top, height, output):
    values = output.ravel().astype(float)
    rows = -(-len(values) // STRIP)
    table = np.pad(values, (0, rows * STRIP - len(values)), constant_values=np.nan).reshape(rows, STRIP)
    largest = np.abs(values).max() or 1
    axes = place(figure, LEFT, top, MOST * (SIDE + 0.05) - 0.05, height)
    axes.pcolormesh(table, cmap=SIGNED, vmin=-largest, vmax=largest, edgecolors='white', linewidth=1)
    axes.invert_yaxis()


def _draw_answer(figure, top, output, network):
    is_probability = len(output) == 1 and isinstance(network.layers[-1], Sigmoid)
    values = np.array([1 - output[0], output[0]]) if is_probability else output
    names = names_of(network) if len(values) > 1 else ['output']
    axes = place(figure, LEFT, top, min(len(values) * 0.6, MOST * SIDE), ANSWER - 0.35)
    best = int(values.argmax())
    colours = ['#2166ac' if i == best else '#b0b0b0' for i in range(len(values))]
    axes.bar(range(len(values)), values, color=colours, width=0.7)
    axes.axhline(0, color=GREY, linewidth=0.8)
    for i, name in enumerate(names):
        axes.text(i, min(values.min(), 0), f'{name}\n{values[i]:.2f}', ha='center', va='top', fontsize=8, color=GREY)
