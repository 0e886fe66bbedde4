"""Callbacks that watch a metric for the best epoch: EarlyStopping, BestCheckpoint."""

import os

import numpy as np

from cnnx._util.foreign_names import CALLBACK_KEYWORDS
from cnnx._util.hints import explained
from cnnx._util.validation import non_negative, path_of_file, positive_int, true_or_false
from cnnx.callbacks.base import Callback, absolute_path
from cnnx.schedules import check_monitored, checked_monitor, is_better


class BestCallback(Callback):
    """Base class of callbacks that watch a metric for the best epoch.

    A subclass defines `on_better`, and `on_worse` if it needs to.

    Args:
        monitor: the metric's name; accuracies are better when larger, all others when smaller.
        min_delta: a metric is better if it beats the best by more than this.
    """

    def __init__(self, monitor, min_delta=0.0):
        self.monitor = checked_monitor(monitor)
        self.min_delta = non_negative(min_delta, 'min_delta')
        self.best = None
        self.best_epoch = 0

    def check(self, metrics):
        check_monitored(self.monitor, metrics)

    def on_epoch_end(self, epoch, metrics):
        if is_better(self.monitor, metrics[self.monitor], self.best, margin=self.min_delta):
            self.best, self.best_epoch = float(metrics[self.monitor]), epoch
            self.on_better()
        else:
            self.on_worse(epoch)

    def on_better(self):
        """The metric is better than in all epochs before."""

    def on_worse(self, epoch):
        """It is not."""

    def state(self):
        return {'monitor': self.monitor, 'best': self.best, 'best_epoch': self.best_epoch}

    def restore(self, state, arrays):
        self.best, self.best_epoch = state.get('best'), state.get('best_epoch', 0)

    def takes(self, state, arrays):
        return state['monitor'] == self.monitor


class EarlyStopping(BestCallback):
    """End the run when a metric has stopped getting better, and go back to the weights of the best epoch.

    Args:
        monitor: the metric's name, as for `ReduceOnPlateau`.
        patience: after so many epochs in a row without a better metric the run ends.
        min_delta: a metric is better if it beats the best by more than this.
        restore_best: whether the network has the weights of the best epoch in the end, however the run ends: also
            after its last epoch, divergence or Ctrl-C; else it has the last ones. Checkpoints always hold those of
            their own epoch.

    Raises:
        ValueError: an argument is none of these, or, when a run begins, it has no metric of that name.

    Attributes:
        best, best_epoch: the best value of the metric, and its epoch.
    """

    @explained(CALLBACK_KEYWORDS)
    def __init__(self, monitor='val_loss', patience=5, min_delta=0.0, restore_best=True):
        super().__init__(monitor, min_delta)
        self.patience = positive_int(patience, 'patience')
        self.restore_best = true_or_false(restore_best, 'restore_best')
        self._weights = {}
        self._waited = 0

    def on_train_begin(self):
        if self._waited >= self.patience:
            self.stop()

    def on_better(self):
        self._waited = 0
        if self.restore_best:
            self._weights = {name: parameter.value.copy() for name, parameter in self.network.parameters.items()}

    def on_worse(self, epoch):
        self._waited += 1
        if self._waited >= self.patience:
            self.stop()

    def on_train_end(self):
        stopped = [f'stopped after epoch {len(self.history["loss"])}'] if self._waited >= self.patience else []
        self._restore_best(stopped)

    def on_train_error(self, error):
        self._restore_best([])

    def _restore_best(self, lines):
        """Give the network the weights of the best epoch, if they are kept, and say so after `lines`."""
        if self._weights:
            for name, parameter in self.network.parameters.items():
                parameter.value = self._weights[name]
            lines = [*lines, f'weights of epoch {self.best_epoch} restored, {self.monitor} {self.best:.4f}']
        if lines:
            self.say(f'EarlyStopping: {", ".join(lines)}')

    def state(self):
        return {**super().state(), 'waited': self._waited}

    def arrays(self):
        return self._weights

    def takes(self, state, arrays):
        # The best epoch has to come with its weights, if the network is to go back to them.
        return super().takes(state, arrays) and not (self.restore_best and state.get('best') is not None and not arrays)

    def restore(self, state, arrays):
        super().restore(state, arrays)
        self._waited = state.get('waited', 0)
        self._weights = {name: np.array(array) for name, array in arrays.items()} if self.restore_best else {}


class BestCheckpoint(BestCallback):
    """Save the network, as `Network.save` does, whenever a metric is better than ever before in the run.

    A resumed run goes on from the best value so far if the file is there, and restarts otherwise.

    Args:
        path: the file, which `Network.load` reads; the one before is replaced when the new one is whole.
        monitor, min_delta: as for `EarlyStopping`.

    Raises:
        ValueError: an argument is none of these, or, when a run begins, no file can be at that path, or it has no
            metric of that name.
    """

    @explained(CALLBACK_KEYWORDS)
    def __init__(self, path, monitor='val_loss', min_delta=0.0):
        super().__init__(monitor, min_delta)
        self.path = path_of_file(path)

    def takes(self, state, arrays):
        return super().takes(state, arrays) and (state['best'] is None or os.path.exists(self._file))

    def check(self, metrics):
        super().check(metrics)
        self._file = absolute_path(self.path)

    def on_better(self):
        self.network.save(self._file)
        self.say(f'BestCheckpoint: {self.monitor} {self.best:.4f}, saved {self.path}')
