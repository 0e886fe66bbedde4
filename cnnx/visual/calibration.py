"""Calibration: whether a network that is 80 % sure is right four times in five."""

from typing import NamedTuple

import numpy as np

from cnnx._util.arrays import softmax
from cnnx._util.figures import drawn, new_figure
from cnnx._util.validation import positive_int
from cnnx.losses import CategoricalCrossEntropy, class_labels
from cnnx.metrics import class_scores
from cnnx.training.prediction import predict_scores
from cnnx.visual.drawing import GREY, checked_path, headline


class Calibration(NamedTuple):
    """What `calibration_curve` returns.

    Attributes:
        confidence: the mean output for the predicted class, bin by bin, (n_bins,); NaN where a bin is empty.
        accuracy: the fraction of right predictions, likewise.
        count: how many samples are in each bin.
        expected_error: the mean over samples of |accuracy - confidence| of their bin (ECE).
    """

    confidence: np.ndarray
    accuracy: np.ndarray
    count: np.ndarray
    expected_error: float


def calibration_curve(network, x, y, n_bins=10):
    """Return confidence and accuracy of predictions, in bins of equal width of the confidence, as a `Calibration`.

    Bin k has the samples whose confidence is in (k / n_bins, (k + 1) / n_bins].

    Source: Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks", 2017, section 2.

    Args:
        network: a `cnnx.Network` whose outputs are probabilities, one a class, or that of class 1; or logits, if it is
            compiled with a CategoricalCrossEntropy that takes these.
        x, y: samples, and their classes as indices (N,) or one-hot rows.
        n_bins: how many bins.

    Raises:
        ValueError: x and y do not fit the network or each other, or the outputs are no probabilities.
    """
    n_bins = positive_int(n_bins, 'n_bins')
    outputs = predict_scores(network, x)
    if outputs.ndim != 2:
        raise ValueError(f'expected a network with one output a class, its outputs are {outputs.shape[1:]}')
    outputs = class_scores(outputs)
    if isinstance(network.loss, CategoricalCrossEntropy) and network.loss.from_logits:
        outputs = softmax(outputs)
    labels = class_labels(y, outputs.shape[1], 'y')
    if len(outputs) != len(labels) or len(labels) == 0:
        raise ValueError(f'expected as many samples as targets, and some, got {len(outputs)} and {len(labels)}')
    if not np.isfinite(outputs).all():
        raise ValueError('the network gives outputs that are NaN or infinite; look at x, and whether it has diverged')
    confidence, right = outputs.max(axis=1).astype(float), outputs.argmax(axis=1) == labels
    # As of a float32 that rounds: a softmax may give 1 + 1e-7.
    if not ((outputs >= -1e-5) & (outputs <= 1 + 1e-5)).all():
        raise ValueError('expected a network whose outputs are probabilities; put a Softmax or Sigmoid at its end')
    bins = np.clip(np.ceil(confidence * n_bins).astype(int) - 1, 0, n_bins - 1)
    count = np.bincount(bins, minlength=n_bins)
    sums = [np.bincount(bins, values, minlength=n_bins) for values in (confidence, right)]
    means = [np.divide(each, count, out=np.full(n_bins, np.nan), where=count > 0) for each in sums]
    expected_error = float(np.abs(sums[1] - sums[0]).sum() / len(labels))
    return Calibration(*means, count, expected_error)


def plot_calibration_curve(network, x, y, n_bins=10, *, path=None):
    """Draw the accuracy of predictions over their confidence, and below how many samples have that confidence.

    Args:
        network, x, y, n_bins: as for `calibration_curve`.
        path: the file to draw into: .png, .svg or .pdf; or None.

    Returns:
        The figure, a `matplotlib.figure.Figure`, where there is no path: a notebook shows it.

    Raises:
        ImportError: matplotlib is not installed.
        OSError, ValueError: an argument is wrong, or the file cannot be written.
    """
    path, found = checked_path(path), calibration_curve(network, x, y, n_bins)
    edges = np.linspace(0, 1, len(found.count) + 1)
    figure = new_figure(figsize=(5.5, 6))
    above, below = figure.subplots(2, 1, height_ratios=(3, 1), sharex=True)
    above.plot([0, 1], [0, 1], color=GREY, linestyle='--', linewidth=1, label='as right as it is sure')
    filled = found.count > 0
    points = found.confidence[filled], found.accuracy[filled]
    above.plot(*points, '-', color='#b2182b', linewidth=1, label='this network')
    # The fewer samples in a bin, the smaller its point: chance moves it.
    sizes = 10 + 110 * np.sqrt(found.count[filled] / found.count.max())
    above.scatter(*points, s=sizes, color='#b2182b', clip_on=False, zorder=3)
    above.set(xlim=(0, 1), ylim=(0, 1.02), ylabel='fraction that is right')
    above.legend(loc='upper left', frameon=False)
    below.stairs(found.count, edges, fill=True, color='#b0b0b0')
    below.set(xlabel='output for the predicted class', ylabel='samples')
    for axes in (above, below):
        axes.spines[['right', 'top']].set_visible(False)
    headline(figure, f'Calibration on {found.count.sum()} samples: expected error {found.expected_error:.3f}')
    return drawn(figure, path)
