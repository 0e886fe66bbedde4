"""The errors that a network is most confident of."""

from typing import NamedTuple

from cnnx._util.figures import drawn
from cnnx._util.validation import positive_int
from cnnx.diagnostics.classification_report import ClassificationReport
from cnnx.visual.drawing import caption, checked_path, grid, images_of, names_of, show_image


class ConfidentError(NamedTuple):
    """A sample that is predicted wrong.

    Attributes:
        index: of the sample.
        true, predicted: classes.
        output: for the predicted class.
    """

    index: int
    true: int
    predicted: int
    output: float


def confident_errors(network, x, y, count=24):
    """Return the wrong predictions with the largest outputs, a list of `ConfidentError`, the largest first.

    Look at them first when labels may be wrong: a network that is sure of another class is often right (Northcutt,
    Jiang and Chuang, "Confident learning: estimating uncertainty in dataset labels", 2021).

    Args:
        network: a `cnnx.Network` with one output a class.
        x, y: samples, and their classes as indices (N,) or one-hot rows (N, classes).
        count: how many, at most.

    Raises:
        ValueError: x and y do not fit the network or each other.
    """
    report = ClassificationReport(network, x, y, examples=positive_int(count, 'count'))
    return [ConfidentError(*mistake) for mistake in report.mistakes]


def plot_confident_errors(network, x, y, count=24, *, path=None):
    """Draw the images of `confident_errors`, with predicted and true class.

    Args:
        network, x, y, count: as for `confident_errors`; x are images.
        path: the file to draw into: .png, .svg or .pdf; or None.

    Returns:
        The figure, a `matplotlib.figure.Figure`, where there is no path: a notebook shows it.

    Raises:
        ImportError: matplotlib is not installed.
        OSError, ValueError: an argument is wrong, or the file cannot be written.
    """
    path, x = checked_path(path), images_of(network, x)
    errors, names = confident_errors(network, x, y, count), names_of(network)
    title = f'The {len(errors)} most confident errors of {len(x)} images' if errors else f'No errors in {len(x)} images'
    figure, axes = grid(max(len(errors), 1), title, lines=2)
    for each, error in zip(axes, errors, strict=False):
        show_image(each, x[error.index])
        caption(each, f'predicted {names[error.predicted]} ({error.output:.2f})\ntrue {names[error.true]}')
    return drawn(figure, path)
