"""A callback that takes histograms of activations and gradients, layer by layer, after each epoch."""

import numpy as np

from cnnx._util.figures import drawn, new_figure
from cnnx._util.validation import positive_int
from cnnx.callbacks import Callback
from cnnx.execution.fusion import fuses_loss
from cnnx.execution.layer_passes import LayerPasses
from cnnx.layers import Flatten
from cnnx.losses import value_and_gradient
from cnnx.training.array_data import ArrayData
from cnnx.visual.drawing import GREY, caption, checked_path

KINDS = ('activations', 'gradients')
MOST = 12  # epochs that are drawn
COLOURS = {'activations': '#2166ac', 'gradients': '#b2182b'}


class LayerHistograms(Callback):
    """Take histograms of what each layer gives, and of the gradient of the mean loss by it, after each epoch.

    Activations that become 0 or one number for all samples, and gradients that shrink or grow from layer to layer, show
    why a network does not learn. The passes are those of prediction, over the same samples each time. `plot` draws.

        histograms = LayerHistograms(x[:200], y[:200])
        net.train(x, y, callbacks=[histograms])
        histograms.plot('histograms.png')

    Source: Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010,
    figures 2, 6 and 7.

    Args:
        x, y: some samples and their targets, as `train` takes them; a few hundred are enough.
        bins: of each histogram.

    Raises:
        ValueError: bins is none, or, when a run begins, x and y do not fit the network or each other.

    Attributes:
        layers: the indices of the layers: all but Flatten, those that act in training only, and a Softmax or Sigmoid
            at the end that counts as a part of the loss.
        epochs: the epochs after which histograms were taken, a list; 0 is before the first.
        counts: by kind, 'activations' or 'gradients', an array (epochs, layers, bins): how many numbers are in a bin.
        edges: likewise (epochs, layers, bins + 1): where the bins begin and end.
    """

    def __init__(self, x, y, bins=50):
        self.x, self.y, self.bins = x, y, positive_int(bins, 'bins')
        self.restore({}, {})

    def __repr__(self):
        return f'LayerHistograms(bins={self.bins})'

    def check(self, metrics):
        network = self.network
        self._data = ArrayData(network, self.x, self.y, prefix='LayerHistograms ')
        ends = network.layers[-1:] if fuses_loss(network.layers, network.loss) else ()
        self.layers = [
            layer.index
            for layer in network.layers
            if not (isinstance(layer, Flatten) or layer.only_in_training or layer in ends)
        ]

    def on_train_begin(self):
        if not self.epochs:
            self._take(0)

    def on_epoch_end(self, epoch, metrics):
        self._take(epoch)

    def _take(self, epoch):
        outputs, gradients = layer_gradients(self.network, self._data)
        self.epochs.append(epoch)
        for kind, arrays in zip(KINDS, (outputs, gradients), strict=True):
            found = [histogram(arrays[i], self.bins) for i in self.layers]
            for kept, new in zip((self.counts, self.edges), zip(*found, strict=True), strict=True):
                new = np.array(new)[np.newaxis]
                kept[kind] = np.concatenate([kept[kind], new]) if kind in kept else new

    def state(self):
        return {'bins': self.bins, 'epochs': self.epochs}

    def arrays(self):
        of = {'counts': self.counts, 'edges': self.edges}
        return {f'{kind}_{name}': array for name, arrays in of.items() for kind, array in arrays.items()}

    def takes(self, state, arrays):
        return state['bins'] == self.bins

    def restore(self, state, arrays):
        self.epochs = list(state.get('epochs', ()))
        self.counts, self.edges = (
            {kind: np.array(arrays[f'{kind}_{name}']) for kind in KINDS if f'{kind}_{name}' in arrays}
            for name in ('counts', 'edges')
        )

    def plot(self, path=None):
        """Draw the histograms: a row for each layer, the newest epoch in front. Heights are square roots of counts.

        Args:
            path: the file to draw into: .png, .svg or .pdf; or None.

        Returns:
            The figure, a `matplotlib.figure.Figure`, where there is no path: a notebook shows it.

        Raises:
            ImportError: matplotlib is not installed.
            OSError, ValueError: the file cannot be written, or its ending is not that of a picture.
            RuntimeError: no run has begun.
        """
        path = checked_path(path)
        if not self.epochs:
            raise RuntimeError('plot: there are no histograms yet; give the callback to train first')
        shown = np.unique(np.linspace(0, len(self.epochs) - 1, MOST).round().astype(int))
        figure = new_figure(figsize=(8, 1.15 * len(self.layers) + 0.8))
        rows = figure.subplots(len(self.layers), 2, squeeze=False)
        for row, (of_layer, index) in enumerate(zip(rows, self.layers, strict=True)):
            for axes, kind in zip(of_layer, KINDS, strict=True):
                self._draw(axes, kind, row, shown)
            caption(of_layer[0], f'{self.network.layers[index].where}: activations')
            caption(of_layer[1], 'gradients')
        first, last = (self.epochs[shown[i]] for i in (0, -1))
        figure.suptitle(
            f'Histograms from epoch {first} (pale, behind) to epoch {last} (in front)', x=0.01, ha='left', fontsize=10
        )
        return drawn(figure, path)

    def _draw(self, axes, kind, row, shown):
        for place, i in enumerate(shown):
            height = np.sqrt(self.counts[kind][i, row])
            height = height / (height.max() or 1)
            base, edges = -0.35 * place, self.edges[kind][i, row]
            look = {'alpha': 0.35 + 0.65 * (place + 1) / len(shown), 'zorder': place}
            axes.stairs(height + base, edges, baseline=base, fill=True, color=COLOURS[kind], ec='white', lw=0.6, **look)
        axes.set_yticks([])
        axes.tick_params(labelsize=7, colors=GREY)
        axes.locator_params(axis='x', nbins=4)
        axes.xaxis.set_major_formatter('{x:.2g}')
        axes.spines[['left', 'right', 'top']].set_visible(False)


def layer_gradients(network, data):
    """Return what each layer gives for samples, and the gradients of their mean loss by it, as two lists.

    The gradient by a Softmax or Sigmoid at the end, which counts as a part of the loss, means nothing.

    Args:
        network: a compiled `cnnx.Network`.
        data: an `ArrayData`.
    """
    x, targets = data.batch(slice(None))
    with network.plan.lock:
        passes = LayerPasses(network.layers, network.reads)
    outputs = passes.forward(x)
    _, dy = value_and_gradient(network.loss, outputs[-1], targets)
    return outputs, passes.backward(dy)[1:]


def histogram(array, bins):
    """Return how many of an array's finite numbers are in each of some bins of equal width, and their edges."""
    values = array[np.isfinite(array)].astype(float)
    return np.histogram(values, bins)
