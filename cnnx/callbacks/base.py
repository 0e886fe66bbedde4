"""Callback, the base class; LambdaCallback: functions as hooks."""

import inspect
import os
from dataclasses import dataclass

from cnnx._util.representation import ReprFromArguments
from cnnx._util.validation import function_of

HOOKS = *(f'on_{part}_{end}' for part in ('train', 'epoch', 'batch') for end in ('begin', 'end')), 'on_train_error'


@dataclass
class RunFacts:
    """What callbacks can know of a run beside its network and history.

    Attributes:
        epochs: how many it is to have, those before a resume included.
        batches: how many batches an epoch has, or None where that is not known.
        max_seconds: its budget of time; infinite where it has none.
        validation: an `ArrayData` or `BatchData` of `cnnx.training`, or None.
        settings: a function that returns what its bits depend on, by name.
    """

    epochs: int
    batches: int | None
    max_seconds: float
    validation: object
    settings: object

    def __reduce__(self):
        """A copy of a callback has None instead: it is in no run."""
        return type(None), ()


class Callback(ReprFromArguments):
    """Hooks that `train` calls; a subclass defines those that it needs.

    Epochs and batches count from 1. A run that resumes calls `on_epoch_begin` once more for the epoch that it goes
    on with, and `on_batch_begin` for the batches that are left of it. A run that ends by an error, Ctrl-C, SIGTERM or
    SIGHUP calls `on_train_error` in place of `on_train_end`. A run that saves calls `state` and `arrays` before it
    begins, to see whether they can be saved.

    Attributes:
        network: the one in training.
        history: the run's `cnnx.History`, as far as it is.
        stopped: whether the run is to end after the hook, which `stop` asks for.
    """

    network = history = None
    stopped = False
    _print = _run = None  # _run: the `RunFacts` that training hands over

    def say(self, line):
        """Print a line, beside the lines of epochs; not where the run has verbose=0."""
        if self._print is not None:
            self._print(line)

    def stop(self):
        """Let the run end: after this batch, or after this epoch.

        That is not saved, and a resume goes on. To stay stopped, call it in `on_train_begin`, by what `state` holds.
        """
        self.stopped = True

    def on_train_begin(self):
        """The run begins, or goes on from a checkpoint."""

    def on_train_end(self):
        """The run is over."""

    def on_train_error(self, error):
        """The run is ended by an exception, such as DivergenceError or KeyboardInterrupt, which is raised next."""

    def on_epoch_begin(self, epoch):
        """An epoch begins."""

    def on_epoch_end(self, epoch, metrics):
        """An epoch ends, with what the history has of it: {'loss': ..., 'learning_rate': ...}; it is not saved yet."""

    def on_batch_begin(self, batch):
        """A batch begins."""

    def on_batch_end(self, batch, metrics):
        """A batch ends, with metrics {'loss': ..., 'accuracy': ...}."""

    def check(self, metrics):
        """Raise a ValueError if it cannot serve a run whose epochs have metrics of these names."""

    def state(self):
        """Return its state, as JSON can hold it."""
        return {}

    def arrays(self):
        """Return the arrays of its state, by name."""
        return {}

    def takes(self, state, arrays):
        """Whether it could go on from this state, of another of its class; otherwise it restarts."""
        return True

    def restore(self, state, arrays):
        """Go on from what `state` and `arrays` gave; restart from two empty dicts."""


class LambdaCallback(Callback):
    """Functions as hooks: `LambdaCallback(on_epoch_end=lambda epoch, metrics: print(metrics['loss']))`.

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


def absolute_path(path):
    """Return a file's absolute path: callbacks may change the current folder.

    Raises:
        ValueError: the path is a folder's, or lies in a folder that is not there.
    """
    if os.path.isdir(path):
        raise ValueError(f'path: expected the path of a file, {path} is a folder')
    absolute = os.path.abspath(path)
    folder = os.path.dirname(absolute)
    if not os.path.isdir(folder):
        raise ValueError(f'path: {path}: there is no folder {folder}; make it first')
    return absolute
