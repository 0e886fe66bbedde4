"""History: the metrics of each epoch of a run. Also the running mean of an epoch's batches, and how far a run is."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from cnnx._util.figures import drawn, new_figure
from cnnx._util.representation import html_table
from cnnx._util.validation import path_of_file


class History(Mapping):
    """The metrics of each epoch of a run.

    Attributes:
        history: lists of floats, one an epoch: 'loss' and 'accuracy' of training, averaged while the weights
            change, and 'val_loss' and 'val_accuracy' after the epoch where there is validation data.
            'accuracy' is missing for losses that have none. 'learning_rate' is that of the epoch's last step.

    `history['loss']` is short for `history.history['loss']`, and `'val_loss' in history` is True if it is there.
    """

    def __init__(self, history=None):
        self.history = {} if history is None else history

    def __getitem__(self, key):
        if key not in self.history:
            raise KeyError(f'{key!r}: expected one of {", ".join(self.history)}')
        return self.history[key]

    def __iter__(self):
        return iter(self.history)

    def __len__(self):
        return len(self.history)

    def __repr__(self):
        epochs = max(map(len, self.history.values()), default=0)
        last = ', '.join(f'{name} {values[-1]:.4g}' for name, values in self.history.items())
        return f'<History: {epochs} epoch{"" if epochs == 1 else "s"}{", at the end " if last else ""}{last}>'

    def _repr_html_(self):
        epochs = enumerate(zip(*self.history.values(), strict=True), 1)
        rows = [(number, *(f'{value:.4g}' for value in values)) for number, values in epochs]
        return html_table(('epoch', *self.history), rows)

    def append(self, metrics):
        """Add an epoch's metrics; NaN stands for those that other epochs have and this one has not."""
        done = max(map(len, self.history.values()), default=0)
        for key in {**self.history, **metrics}:
            self.history.setdefault(key, [math.nan] * done).append(metrics.get(key, math.nan))

    def plot(self, path=None):
        """Draw loss and accuracy by epoch, each in a panel of its own.

        Args:
            path: the file to draw into: .png, .svg or .pdf; or None.

        Returns:
            The figure, a `matplotlib.figure.Figure`, where there is no path: a notebook shows it.

        Raises:
            ImportError: matplotlib is not installed.
            OSError, ValueError: the file cannot be written, or has another ending, or there are no epochs.
        """
        path = None if path is None else path_of_file(path)
        keys = list(dict.fromkeys(key.removeprefix('val_') for key in self if key != 'learning_rate'))
        if not keys:
            raise ValueError('plot: expected a history of at least one epoch, this one is empty; train first')
        figure = new_figure(figsize=(4.5 * len(keys), 3.6))
        for axes, key in zip(figure.subplots(1, len(keys), squeeze=False).flat, keys, strict=True):
            for name, label in ((key, 'training'), (f'val_{key}', 'validation')):
                if name in self:
                    axes.plot(range(1, len(self[name]) + 1), self[name], marker='o', markersize=3, label=label)
            axes.set(xlabel='epoch', ylabel=key)
            axes.xaxis.get_major_locator().set_params(integer=True)
            axes.grid(alpha=0.3)
            axes.legend()
        return drawn(figure, path)


class Mean:
    """The mean loss and accuracy of batches, each counting with the number of its targets.

    Args:
        measures_accuracy: whether there is one.
        sums: of the losses, of the right predictions, of the targets that count, to continue from.
    """

    def __init__(self, measures_accuracy, sums=None):
        self.measures_accuracy = measures_accuracy
        self.sums = sums or [0.0, 0, 0]

    def add(self, loss, correct, count):
        """Count a batch in: the sum of its losses, how many predictions are right, and how many targets there are."""
        total_loss, total_correct, total_count = self.sums
        self.sums = [total_loss + loss, total_correct + correct, total_count + count]

    def metrics(self, since=(0.0, 0, 0)):
        """Return {'loss': ..., 'accuracy': ...} of what came since the sums were these; NaN where nothing counts."""
        loss, correct, count = (now - before for now, before in zip(self.sums, since, strict=True))
        metrics = {'loss': loss / count if count else math.nan}
        if self.measures_accuracy:
            metrics['accuracy'] = correct / count if count else math.nan
        return metrics


@dataclass
class Position:
    """How far a run is.

    Attributes:
        history: lists of metrics, a number for each epoch that is done.
        epoch: the one to continue with, from 1.
        batch: how many of its batches are done.
        order: the generator's state from before this epoch was shuffled; None at its beginning.
        mean: sums over its batches, as `Mean` holds them.
        learning_rate: that of the newest of its steps.
        schedule: the state of the learning rate's schedule.
        seconds: how much of its budget of time the run has used, if it has one.
    """

    history: dict = field(default_factory=dict)
    epoch: int = 1
    batch: int = 0
    order: dict | None = None
    mean: list | None = None
    learning_rate: float = math.nan
    schedule: dict = field(default_factory=dict)
    seconds: float = 0.0
