"""History: the metrics of each epoch of a run; and the running mean of an epoch's batches."""

import math
from collections.abc import Mapping


class History(Mapping):
    """The metrics of each epoch of a run.

    Attributes:
        history: lists of floats, one an epoch: 'loss' and 'accuracy' of training, averaged while the weights
            change, and 'val_loss' and 'val_accuracy' after the epoch where there is validation data.
            'accuracy' is missing for losses that have none.

    `history['loss']` is short for `history.history['loss']`, and `'val_loss' in history` tells whether it is there.
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
        return f'History({self.history!r})'

    def append(self, metrics):
        """Add an epoch's metrics; NaN stands for those that other epochs have and this one has not."""
        done = max(map(len, self.history.values()), default=0)
        for key in {**self.history, **metrics}:
            self.history.setdefault(key, [math.nan] * done).append(metrics.get(key, math.nan))


class Mean:
    """The mean loss and accuracy of samples that come in batches, each counting with its own size.

    Args:
        measures_accuracy: whether there is one.
        sums: of the losses, of the right predictions, of the samples: to go on from.
    """

    def __init__(self, measures_accuracy, sums=None):
        self.measures_accuracy = measures_accuracy
        self.sums = sums or [0.0, 0, 0]

    def add(self, count, loss, correct):
        """Count a batch in: its size, the sum of its losses, and how many predictions are right."""
        total_loss, total_correct, total_count = self.sums
        self.sums = [total_loss + loss, total_correct + correct, total_count + count]

    def metrics(self, since=(0.0, 0, 0)):
        """Return {'loss': ..., 'accuracy': ...} of what came since the sums were these."""
        loss, correct, count = (now - before for now, before in zip(self.sums, since, strict=True))
        metrics = {'loss': loss / count}
        if self.measures_accuracy:
            metrics['accuracy'] = correct / count
        return metrics
