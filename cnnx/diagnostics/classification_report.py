"""Classification report: confusion matrix, precision, recall and F1 by class, the worst mistakes."""

import html
from collections.abc import Sized

import numpy as np

from cnnx._util.figures import drawn, new_figure
from cnnx._util.representation import html_table
from cnnx._util.validation import path_of_file, whole_number
from cnnx.losses import class_labels
from cnnx.metrics import ConfusionMatrix, confident_mistakes
from cnnx.training.prediction import predict_scores

NAMED_PAIRS = 5
LEGIBLE_CLASSES = 20
COLUMNS = 5


class ClassificationReport:
    """The quality of a classifier by class.

    It shows the confusion matrix, metrics by class, and the classes that are confused most often; `plot` draws.

    Args:
        network: a `cnnx.Network` with outputs (N, classes), or (N, 1), the probability of class 1.
        x, y: samples, and their classes as indices (N,) or one-hot rows (N, classes).
        batch_size: the number of samples in each forward pass.
        examples: the largest number of mistakes to keep.
        classes: the names of the classes, in the order of the outputs; None takes the network's `class_names`, or their
            numbers where it has none.

    Raises:
        ValueError: x and y do not fit the network or each other, or there are not as many names as classes.

    Attributes:
        confusion: a `cnnx.metrics.ConfusionMatrix`.
        pairs: a list of (true class, predicted class, number of samples) of wrong predictions, the most frequent first.
        mistakes: a list of (index, true class, predicted class, output) of wrong predictions, the largest output for
            the wrong class first.
    """

    def __init__(self, network, x, y, *, batch_size=256, examples=20, classes=None):
        examples = whole_number(examples, 'examples')
        outputs = predict_scores(network, x, batch_size)
        if outputs.ndim != 2:
            raise ValueError(f'ClassificationReport: expected a class a sample, the network gives {outputs.shape}')
        self.confusion = ConfusionMatrix()
        self.confusion.update(outputs, y)
        self._x = np.asarray(x)
        matrix = self.confusion.result()
        self._names = _names(network.class_names if classes is None else classes, len(matrix))
        wrong = np.argwhere((matrix > 0) & ~np.eye(len(matrix), dtype=bool))
        wrong = sorted(wrong.tolist(), key=lambda pair: (-matrix[*pair], pair))
        self.pairs = [(true, predicted, int(matrix[true, predicted])) for true, predicted in wrong]
        self.mistakes = confident_mistakes(outputs, class_labels(y, len(matrix), 'y'), examples)

    def __repr__(self):
        return '\n'.join([*self._matrix_lines(), '', *self._class_lines(), '', *self._pair_lines()])

    def plot(self, path=None):
        """Draw the confusion matrix, and the mistakes beside it if the samples are images.

        Args:
            path: the file to draw into: .png, .svg or .pdf; or None.

        Returns:
            The figure, a `matplotlib.figure.Figure`, where there is no path: a notebook shows it.

        Raises:
            ImportError: matplotlib is not installed.
            OSError, ValueError: the file cannot be written, or its ending is not that of a picture.
        """
        path = None if path is None else path_of_file(path)
        mistakes = self.mistakes if self._x.ndim == 4 and self._x.shape[3] in (1, 3) else []
        figure = new_figure(figsize=(13 if mistakes else 6.5, 6))
        if mistakes:
            left, right = figure.subfigures(1, 2)
            _draw_mistakes(right, self._x, mistakes, self._names)
        _draw_matrix((left if mistakes else figure).subplots(), self.confusion.result(), self._names)
        return drawn(figure, path)

    def _repr_html_(self):
        rows = ((name, *counts) for name, counts in zip(self._names, self.confusion.result(), strict=True))
        matrix = html_table(('true \\ predicted', *self._names), rows)
        rows = ((name, count, *(f'{x:.4f}' for x in metrics)) for name, count, *metrics in self._classes())
        classes = html_table(('class', 'samples', 'precision', 'recall', 'f1'), rows)
        return f'{matrix}{classes}<p>{"<br>".join(map(html.escape, self._pair_lines()))}</p>'

    def _matrix_lines(self):
        matrix = self.confusion.result()
        width = max(len(str(matrix.max())), *map(len, self._names))
        head = 'true \\ predicted'
        first = max(len(head), *map(len, self._names))
        lines = [f'{head:{first}}  ' + '  '.join(f'{name:>{width}}' for name in self._names)]
        for name, row in zip(self._names, matrix, strict=True):
            lines.append(f'{name:>{first}}  ' + '  '.join(f'{count:{width}}' for count in row))
        undecided = self.confusion.undecided.sum()
        return lines if undecided == 0 else [*lines, f'{undecided} more have NaN outputs, so no predicted class']

    def _class_lines(self):
        width = max(len('class'), *map(len, self._names))
        return [f'{"class":{width}}  samples  precision  recall      f1'] + [
            f'{name:>{width}}  {count:7}  {precision:9.4f}  {recall:6.4f}  {f1:6.4f}'
            for name, count, precision, recall, f1 in self._classes()
        ]

    def _classes(self):
        """Return (name, samples, precision, recall, f1) of each class."""
        confusion = self.confusion
        samples = confusion.result().sum(axis=1) + confusion.undecided
        return zip(self._names, samples, confusion.precision(), confusion.recall(), confusion.f1(), strict=True)

    def _pair_lines(self):
        if not self.pairs:
            return ['no classes are confused']
        return ['most confused'] + [
            f'{self._names[true]} predicted as {self._names[predicted]}: {count} time{"s" if count > 1 else ""}'
            for true, predicted, count in self.pairs[:NAMED_PAIRS]
        ]


def _names(classes, count):
    if classes is None:
        return [str(number) for number in range(count)]
    if isinstance(classes, str) or not isinstance(classes, Sized) or len(classes) != count:
        raise ValueError(f'classes: expected {count} names, one for each class, got {classes!r}')
    return [str(name) for name in classes]


def _draw_matrix(axes, matrix, names):
    fractions = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axes.imshow(fractions, cmap='Blues', vmin=0, vmax=1)
    axes.set(xlabel='predicted', ylabel='true')
    if len(matrix) > LEGIBLE_CLASSES:
        return
    axes.set_xticks(range(len(matrix)), names, rotation=90 if max(map(len, names)) > 2 else 0)
    axes.set_yticks(range(len(matrix)), names)
    for (i, j), count in np.ndenumerate(matrix):
        if count:
            color = 'white' if fractions[i, j] > 0.5 else 'black'
            axes.text(j, i, str(count), ha='center', va='center', color=color, fontsize=8)


def _draw_mistakes(figure, x, mistakes, names):
    rows = -(-len(mistakes) // COLUMNS)
    grid = figure.subplots(rows, COLUMNS, squeeze=False).flat
    for axes, mistake in zip(grid, [*mistakes, *[None] * (rows * COLUMNS - len(mistakes))], strict=True):
        axes.set_axis_off()
        if mistake is not None:
            index, true, predicted, output = mistake
            axes.imshow(x[index].squeeze(axis=2) if x.shape[3] == 1 else x[index], cmap='gray')
            axes.set_title(f'{names[true]} predicted as {names[predicted]}\n({output:.2f})', fontsize=8)
