"""What happens beside training: objects whose hooks are called before and after the run, its epochs and its batches.

`train(callbacks=[...])` takes them. What they remember is saved with each checkpoint and resumed with it.
"""

import contextlib
import csv
import hashlib
import inspect
import io
import os

import numpy as np

from cnnx._util.representation import ReprFromArguments
from cnnx._util.validation import (
    MAX_SIZE,
    function_of,
    non_negative,
    path_of_file,
    positive_int,
    true_or_false,
    whole_number,
)
from cnnx.checkpoint import read, remove_leftovers_of, system_errors_ignored, write_whole
from cnnx.checkpoint.state import match_weights
from cnnx.schedules import check_monitored, checked_monitor, is_better

HOOKS = tuple(f'on_{part}_{end}' for part in ('train', 'epoch', 'batch') for end in ('begin', 'end'))


class Callback(ReprFromArguments):
    """Hooks that `train` calls; a kind of callback defines those that it needs.

    Epochs and batches count from 1. A run that resumes calls `on_epoch_begin` once more for the epoch that it goes
    on with, and `on_batch_begin` for the batches that are left of it. A run that ends by an error, Ctrl-C, SIGTERM or
    SIGHUP does not come to `on_train_end`. A run that saves asks for `state` and `arrays` before it begins, to see
    whether they can be saved.

    Attributes:
        network: the one in training.
        history: the run's `cnnx.History`, as far as it is.
        stopped: whether the run is to end behind the hook, which `stop` asks for.
    """

    network = history = None
    stopped = False

    def stop(self):
        """Let the run end: behind this batch, or behind this epoch.

        That is not saved, and a resume goes on. To stay stopped, call it in `on_train_begin` by what `state` keeps.
        """
        self.stopped = True

    def on_train_begin(self):
        """The run begins, or goes on from a checkpoint."""

    def on_train_end(self):
        """The run is over."""

    def on_epoch_begin(self, epoch):
        """An epoch begins."""

    def on_epoch_end(self, epoch, figures):
        """An epoch has come to these figures, {'loss': ..., 'val_accuracy': ...}; it is not saved yet."""

    def on_batch_begin(self, batch):
        """A batch begins."""

    def on_batch_end(self, batch, figures):
        """A batch has come to these figures, {'loss': ..., 'accuracy': ...}."""

    def check(self, figures):
        """Raise a ValueError if it cannot serve a run whose figures have these names."""

    def state(self):
        """Return what it remembers as JSON can hold it."""
        return {}

    def arrays(self):
        """Return the arrays that it remembers, by name."""
        return {}

    def takes(self, state, arrays):
        """Whether it could go on from what another of its kind remembers; otherwise it begins anew."""
        return True

    def restore(self, state, arrays):
        """Go on from what `state` and `arrays` gave; from two empty ones as if nothing had happened.

        Raises:
            LookupError, TypeError, ValueError: they are none of these; nothing is changed then.
        """


class LambdaCallback(Callback):
    """Functions as hooks: `LambdaCallback(on_epoch_end=lambda epoch, figures: print(figures['loss']))`.

    Args:
        hooks: functions by the name of the hook, each with the hook's arguments.

    Raises:
        ValueError: there is no such hook, or it is no function.
    """

    def __init__(self, **hooks):
        for name, function in hooks.items():
            if name not in HOOKS:
                raise ValueError(f'LambdaCallback: expected hooks {", ".join(HOOKS)}, got {name}')
            arguments = list(inspect.signature(getattr(Callback, name)).parameters)[1:]
            setattr(self, name, function_of(function, name, *arguments))


class BestCallback(Callback):
    """What callbacks share that watch for the best epoch by a figure.

    A kind of such callback defines `on_better`, and `on_worse` if it needs to.

    Args:
        monitor: the figure's name; accuracies are better when larger, all others when smaller.
        min_delta: a figure is better if it beats the best by more than this.
    """

    def __init__(self, monitor, min_delta=0.0):
        self.monitor = checked_monitor(monitor)
        self.min_delta = non_negative(min_delta, 'min_delta')
        self.best = None
        self.best_epoch = 0

    def check(self, figures):
        check_monitored(self.monitor, figures)

    def on_epoch_end(self, epoch, figures):
        if is_better(self.monitor, figures[self.monitor], self.best, margin=self.min_delta):
            self.best, self.best_epoch = float(figures[self.monitor]), epoch
            self.on_better()
        else:
            self.on_worse(epoch)

    def on_better(self):
        """The figure has got better."""

    def on_worse(self, epoch):
        """It has not."""

    def state(self):
        return {'monitor': self.monitor, 'best': self.best, 'best_epoch': self.best_epoch}

    def restore(self, state, arrays):
        best, epoch = state.get('best'), whole_number(state.get('best_epoch', 0), 'best_epoch', MAX_SIZE)
        self.best, self.best_epoch = None if best is None else float(best), epoch

    def takes(self, state, arrays):
        # The best of another figure is no measure of this one.
        return state.get('monitor', self.monitor) == self.monitor


class EarlyStopping(BestCallback):
    """End the run when a figure has stopped getting better, and go back to the weights of the best epoch.

    Args:
        monitor: the figure's name, as for `ReduceOnPlateau`.
        patience: after so many epochs in a row without a better figure the run ends.
        min_delta: a figure is better if it beats the best by more than this.
        restore_best: whether the network has the weights of the best epoch in the end, also where the run ends by
            itself; else it has the last ones. Checkpoints always hold those of their own epoch.

    Raises:
        ValueError: an argument is none of these, or, when a run begins, it has no figure of that name.

    Attributes:
        best, best_epoch: the best figure, and the epoch that it is of.
    """

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
        for name, value in self._weights.items():
            self.network.parameters[name].value = value

    def state(self):
        return {**super().state(), 'waited': self._waited}

    def arrays(self):
        return self._weights

    def takes(self, state, arrays):
        # A best without its weights is none to go back to.
        return super().takes(state, arrays) and not (self.restore_best and state.get('best') is not None and not arrays)

    def restore(self, state, arrays):
        waited = whole_number(state.get('waited', 0), 'waited', MAX_SIZE)
        for name, array in arrays.items():
            if name not in self.network.parameters or array.shape != self.network.parameters[name].value.shape:
                raise ValueError(f'{name}: not a parameter of this network')
        super().restore(state, arrays)
        self._waited = waited
        self._weights = {name: np.array(array) for name, array in arrays.items()} if self.restore_best else {}


class BestCheckpoint(BestCallback):
    """Save the network, as `Network.save` does, whenever a figure is better than ever before in the run.

    Args:
        path: the file, which `Network.load` reads; the one before is replaced when the new one is whole.
        monitor, min_delta: as for `EarlyStopping`.

    Raises:
        ValueError: an argument is none of these, or, when a run begins, no file can be at that path, or it has no
            figure of that name.
    """

    def __init__(self, path, monitor='val_loss', min_delta=0.0):
        super().__init__(monitor, min_delta)
        self.path = path_of_file(path)
        self._saved = None

    def takes(self, state, arrays):
        # A best that is not there any more, or is another network's or run's, is none to beat.
        there = state.get('best') is None or fingerprint_of_file(self._file, self.network) == state.get('saved')
        return super().takes(state, arrays) and there

    def check(self, figures):
        super().check(figures)
        self._file = prepared_path(self.path)

    def on_better(self):
        self.network.save(self._file)
        self._saved = fingerprint({name: parameter.value for name, parameter in self.network.parameters.items()})

    def state(self):
        return {**super().state(), 'saved': self._saved}

    def restore(self, state, arrays):
        super().restore(state, arrays)
        self._saved = state.get('saved')


class CSVLogger(Callback):
    """Write what each epoch came to into a file: a column a figure, a row an epoch.

    After each epoch the file is written anew from the whole history, so that it is whole at any time, and a resumed
    run leaves the rows that an uninterrupted one would have left.

    Args:
        path: the file.

    Raises:
        ValueError: it is no path, or, when a run begins, no file can be there.
    """

    def __init__(self, path):
        self.path = path_of_file(path)

    def check(self, figures):
        self._file = prepared_path(self.path)

    def on_epoch_end(self, epoch, figures):
        history, table = self.history.history, io.StringIO()
        writer = csv.writer(table, lineterminator='\n')
        writer.writerow(['epoch', *history])
        writer.writerows([number, *row] for number, row in enumerate(zip(*history.values(), strict=True), 1))
        write_whole(self._file, table.getvalue().encode())


def fingerprint(weights):
    """Return a text that tells weights, arrays by name, from all others."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(name.encode() + weights[name].tobytes())
    return digest.hexdigest()


def fingerprint_of_file(path, network):
    """Return that of the weights in a file, or '' if it cannot be read or has none that fit a network."""
    with system_errors_ignored(), contextlib.suppress(ValueError):
        return fingerprint(match_weights(network.layers, read(path)[0]))
    return ''


def prepared_path(path):
    """Return a file's absolute path, without what killed runs left half written of it.

    Raises:
        ValueError: the path is a folder's, or lies in a folder that is not there.
    """
    if os.path.isdir(path):
        raise ValueError(f'path: expected the path of a file, {path} is a folder')
    absolute = os.path.abspath(path)
    folder = os.path.dirname(absolute)
    if not os.path.isdir(folder):
        raise ValueError(f'path: {path}: there is no folder {folder}; make it first')
    remove_leftovers_of(absolute)
    return absolute


class Callbacks:
    """The callbacks of a run, as one.

    Args:
        callbacks: a list of them.

    Raises:
        ValueError: one is no callback, or stands there twice.
    """

    def __init__(self, callbacks):
        if not isinstance(callbacks, (list, tuple)):
            raise ValueError(f'callbacks: expected a list such as [EarlyStopping()], got {callbacks!r}')
        for callback in callbacks:
            if not isinstance(callback, Callback):
                raise ValueError(f'callbacks: expected objects such as EarlyStopping(), got {callback!r}')
        if len({id(callback) for callback in callbacks}) < len(callbacks):
            raise ValueError('callbacks: expected different ones, got one twice')
        self._callbacks = list(callbacks)

    def __bool__(self):
        return bool(self._callbacks)

    def __iter__(self):
        return iter(self._callbacks)

    @property
    def stopped(self):
        """Whether one of them has asked for the end of the run."""
        return any(callback.stopped for callback in self._callbacks)

    def begin(self, network, history, figures):
        """Hand them the network, forget what they remember, and see that they can serve.

        Args:
            network: the one to train.
            history: the run's.
            figures: what the figures of its epochs are called.
        """
        for callback in self._callbacks:
            callback.network, callback.history, callback.stopped = network, history, False
            callback.check(figures)
            callback.restore({}, {})

    def call(self, hook, *arguments):
        """Call a hook of all.

        Raises:
            RuntimeError: it took a layer out of the network, before the run is over.
        """
        for callback in self._callbacks:
            getattr(callback, hook)(*arguments)
            if callback.network.loss is None and hook != 'on_train_end':
                raise RuntimeError(
                    f'{type(callback).__name__}.{hook}: took a layer out of the network in training; '
                    'call pop before train, or in on_train_end'
                )

    def describe(self):
        """Return the kind and the state of each, as JSON can hold them."""
        return [{'kind': type(callback).__name__, 'state': callback.state()} for callback in self._callbacks]

    def arrays(self):
        """Return the arrays of all, by names that tell whose they are."""
        return {
            f'callback_{i}_{name}': array
            for i, callback in enumerate(self._callbacks)
            for name, array in callback.arrays().items()
        }

    def restore(self, description, arrays):
        """Give each what `describe` and `arrays` gave of it: the first of its kind that it takes and no other has.

        Returns:
            The kinds of those that begin anew, and of those whose memory nobody has taken.

        Raises:
            LookupError, TypeError, ValueError: the states are none, or not such as a callback takes.
        """
        left = []
        for i, found in enumerate(description):
            prefix = f'callback_{i}_'
            own = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
            left.append((found['kind'], dict(found['state']), own))
        begun = []
        for callback in self._callbacks:
            kind = type(callback).__name__
            taken = next((memory for memory in left if memory[0] == kind and callback.takes(*memory[1:])), None)
            if taken is None:
                begun.append(kind)
            else:
                left = [memory for memory in left if memory is not taken]
                try:
                    callback.restore(*taken[1:])
                except (LookupError, TypeError, ValueError) as error:
                    raise ValueError(f'{kind} does not take what it remembered: {error!r}') from error
        return begun, [kind for kind, *_ in left]
