"""A map of a data set as a network sees it: samples as points, by what its last hidden layer gives."""

import numpy as np

from cnnx._util.arrays import as_numbers
from cnnx._util.figures import drawn, new_figure
from cnnx._util.validation import positive_int
from cnnx.layers import Dense
from cnnx.losses import class_labels
from cnnx.training.activations import layer_index
from cnnx.visual.drawing import checked_path, headline, names_of

NAMED = 20  # classes that a legend names


def pca(vectors, components=2):
    """Return vectors (N, numbers) as (N, components), along the directions in which they vary most.

    They are centred, and multiplied by the first right singular vectors, each with the sign that makes its largest
    entry positive.

    Source: Pearson, "On lines and planes of closest fit to systems of points in space", 1901; Goodfellow, Bengio and
    Courville, "Deep learning", 2016, section 5.8.1.

    Args:
        vectors: (N, numbers).
        components: how many directions, at most `numbers` and N.

    Raises:
        ValueError: an argument is none of these, or a number is not finite.
    """
    vectors, components = as_numbers(vectors, 'vectors'), positive_int(components, 'components')
    if vectors.ndim != 2 or min(vectors.shape) < components:
        raise ValueError(
            f'vectors: expected at least {components} of at least {components} numbers, got {vectors.shape}'
        )
    if not np.isfinite(vectors).all():
        raise ValueError('vectors: expected finite numbers, got NaN or infinity')
    centred = vectors - vectors.mean(axis=0, dtype=float)
    *_, directions = np.linalg.svd(centred, full_matrices=False)
    directions = directions[:components]
    largest = np.take_along_axis(directions, np.abs(directions).argmax(axis=1)[:, np.newaxis], axis=1)
    return centred @ (directions * np.sign(largest)).T


def embedding(network, x, layer=None):
    """Return the points of samples on a map, (N, 2): `pca` of what a layer gives for them.

    Args:
        network: a `cnnx.Network`.
        x: samples (N, ...).
        layer: the index of a layer; None for what the last Dense layer reads, the last hidden layer.

    Raises:
        ValueError: an argument is none of these, or x does not fit the network.
    """
    (outputs,) = network.activations(x, [_hidden_layer(network, layer)])
    return pca(outputs.reshape(len(outputs), -1))


def plot_embedding(network, x, y, layer=None, *, path=None):
    """Draw samples as points of `embedding`, coloured by class.

    Args:
        network, x, layer: as for `embedding`.
        y: the classes, as indices (N,) or one-hot rows.
        path: the file to draw into: .png, .svg or .pdf; or None.

    Returns:
        The figure, a `matplotlib.figure.Figure`, where there is no path: a notebook shows it.

    Raises:
        ImportError: matplotlib is not installed.
        OSError, ValueError: an argument is wrong, or the file cannot be written.
    """
    path, layer, names = checked_path(path), _hidden_layer(network, layer), names_of(network)
    labels = class_labels(y, len(names), 'y')
    points = embedding(network, x, layer)
    if len(labels) != len(points):
        raise ValueError(f'expected as many samples as targets, got {len(points)} and {len(labels)}')
    figure = new_figure(figsize=(7, 5.6))
    axes = figure.subplots()
    cmap = new_colours(len(names))
    for label, name in enumerate(names):
        of_class = points[labels == label]
        if len(of_class):
            axes.scatter(*of_class.T, s=9, color=cmap[label], alpha=0.75, linewidths=0, label=name)
            if len(names) <= NAMED:
                middle = np.median(of_class, axis=0)
                box = {'boxstyle': 'round,pad=0.2', 'facecolor': 'white', 'edgecolor': cmap[label], 'alpha': 0.9}
                axes.text(*middle, name, ha='center', va='center', fontsize=9, bbox=box)
    axes.set(xticks=[], yticks=[], xlabel='first principal component', ylabel='second')
    axes.spines[['right', 'top']].set_visible(False)
    headline(figure, f'{len(points)} samples as {network.layers[layer].where} sees them: near means alike')
    return drawn(figure, path)


def new_colours(count):
    """Return so many colours that differ."""
    from matplotlib import colormaps

    return (
        [colormaps['tab10'](i) for i in range(count)] if count <= 10 else colormaps['turbo'](np.linspace(0, 1, count))
    )


def _hidden_layer(network, layer):
    """Return the index of the layer that the last Dense layer reads."""
    if layer is not None:
        return layer_index(network, layer, 'layer')
    found = [each.index for each in network.layers if isinstance(each, Dense)]
    if not found or network.reads[found[-1]][0] < 0:
        raise ValueError('expected a network with a Dense layer after others, it has none; give the index of a layer')
    return network.reads[found[-1]][0]
