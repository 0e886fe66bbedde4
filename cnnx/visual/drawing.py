"""What pictures of networks have in common: images, maps over them, names of classes, one look."""

import numpy as np

from cnnx._util.arrays import as_numbers
from cnnx._util.figures import drawn, new_figure
from cnnx._util.validation import path_of_file
from cnnx.metrics import class_scores
from cnnx.training.prediction import predict_scores

COLUMNS = 8
CELL = 1.3  # inches, as are those below
WIDTH = 5.6  # of a figure, at least: its title has room
MARGIN = 0.1
TOP = 0.32  # of the figure, that its title takes
HEAT = 'inferno'  # of what is from 0 up: dark to bright, the same in grey
SIGNED = 'RdBu'  # of what has a sign: white is 0, blue positive
GREY = '#555555'


def images_of(network, x):
    """Return images (N, H, W, C) that a network takes, from these or a single one (H, W, C), in its dtype.

    Raises:
        RuntimeError: the network has no layers.
        ValueError: the network takes no images with 1 or 3 channels, or others.
    """
    if not network.layers:
        raise RuntimeError('the network has no layers; add some first')
    shape = network.input_shape
    if len(shape) != 3 or shape[2] not in (1, 3):
        raise ValueError(f'expected a network that takes images (height, width, 1 or 3), this one takes {shape}')
    x = as_numbers(x, 'x')
    x = network.check_samples(x[np.newaxis] if x.shape == shape else x, 'x')
    if len(x) == 0:
        raise ValueError('x: expected at least one image, got none')
    return np.array(x, network.dtype)


def names_of(network):
    """Return the names of a network's classes, or their numbers."""
    if network.class_names is not None:
        return list(network.class_names)
    return [str(i) for i in range(max(network.layers[-1].shape[0], 2))]


def checked_path(path):
    """Return the path of a picture, or None for none."""
    return None if path is None else path_of_file(path)


def sheet(width, height, title):
    """Return a figure of a size in inches, with a title that takes `TOP`; `place` puts axes on it."""
    figure = new_figure(figsize=(width, height))
    figure.set_layout_engine('none')  # quick, however many axes there are
    figure.text(MARGIN / width, 1 - MARGIN / height, title, ha='left', va='top', fontsize=10)
    return figure


def place(figure, left, top, width, height):
    """Return new axes without a frame, at a place of a figure in inches from its top left."""
    whole, high = figure.get_size_inches()
    axes = figure.add_axes((left / whole, 1 - (top + height) / high, width / whole, height / high))
    axes.set_axis_off()
    return axes


def grid(count, title, *, columns=None, width=CELL, height=CELL, gap=0.08, lines=1):
    """Return a figure, and axes in rows, each with room for some lines of text above it.

    Args:
        count: how many axes.
        title: of the figure.
        columns: axes in a row; None for rows of one length, of 8 at most.
        width, height, gap: of each, and between two beside each other, in inches.
        lines: of text above each.
    """
    if columns is None:
        columns = -(-count // -(-count // COLUMNS))
    head = 0.06 + 0.15 * lines
    rows = -(-count // columns)
    figure = sheet(max(columns * (width + gap) + 2 * MARGIN, WIDTH), TOP + rows * (height + head) + MARGIN, title)
    places = [(MARGIN + i % columns * (width + gap), TOP + i // columns * (height + head) + head) for i in range(count)]
    return figure, [place(figure, left, top, width, height) for left, top in places]


def headline(figure, title):
    """Write a title over a figure, at its left."""
    figure.suptitle(title, x=0.01, ha='left', fontsize=10)


def caption(axes, text):
    """Write a short line over axes."""
    axes.set_title(text, fontsize=8, color=GREY, pad=3, y=1)  # with no y, it is searched for, which takes long


def show_image(axes, image, white=1.0):
    """Draw an image (H, W, 1 or 3), from its darkest to its brightest number; `white` is how bright that is."""
    low, high = image.min(), image.max()
    image = (image - low) / (high - low) * white if high > low else np.zeros_like(image)
    axes.imshow(image[..., 0] if image.shape[2] == 1 else image, cmap='gray', vmin=0, vmax=1)


def beside_images(network, x, targets, maps, title, *, over=False, notes=None, path=None):
    """Draw images, each with its class and the output for it, and below each a map (rows, columns) of it.

    Args:
        network: a `cnnx.Network`.
        x: images (N, H, W, C).
        targets: the classes, (N,).
        maps: (N, rows, columns), spread over the image.
        title: of the figure.
        over: whether the maps are drawn over the images.
        notes: a short line for each map, or None.
        path: of the file, or None.
    """
    path = checked_path(path)
    names, outputs = names_of(network), class_scores(predict_scores(network, x))
    # One image beside its map; several in rows, each with its map below it.
    single = len(x) == 1
    columns = -(-len(x) // -(-len(x) // COLUMNS))
    side, gap, head = (2.6 if single else CELL), 0.08, 0.21
    below = head if notes is not None else gap
    block = head + side + (0 if single else below + side) + 0.1
    size = 2 * side + gap if single else columns * (side + gap)
    figure = sheet(max(size + 2 * MARGIN, WIDTH), TOP + block * -(-len(x) // columns) + MARGIN, title)
    for n, image in enumerate(x):
        left, top = MARGIN + n % columns * (side + gap), TOP + n // columns * block + head
        axes = place(figure, left, top, side, side)
        show_image(axes, image)
        caption(axes, f'{names[targets[n]]}: {outputs[n, targets[n]]:.2f}')
        axes = place(figure, *((left + side + gap, top) if single else (left, top + side + below)), side, side)
        if notes is not None:
            caption(axes, notes[n])
        if over:
            show_image(axes, image, white=0.5)
        show_map(axes, maps[n], image.shape[:2], over)
    return drawn(figure, path)


def show_map(axes, values, size, over):
    """Draw a map (rows, columns), spread over an image of a size, from its lowest to its highest number.

    Args:
        axes: to draw on.
        values: of the map.
        size: (height, width) of the image.
        over: whether the image is below, and to be seen where the map is low.
    """
    height, width = size
    low, high = values.min(), values.max()
    values = (values - low) / (high - low) if high > low else np.zeros_like(values)
    extent = -0.5, width - 0.5, height - 0.5, -0.5
    interpolation = 'bilinear' if over else 'nearest'
    axes.imshow(
        values, cmap=HEAT, vmin=0, vmax=1, alpha=0.9 * values if over else 1, extent=extent, interpolation=interpolation
    )
