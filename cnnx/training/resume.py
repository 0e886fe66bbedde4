"""Checkpoints of a training run: when they are written, and how a run resumes from the newest one."""

import datetime
import math
import os
import re
import time
import uuid
from pathlib import Path

from cnnx import checkpoint
from cnnx._util.representation import as_json
from cnnx._util.validation import positive_int
from cnnx.checkpoint import state as network_state
from cnnx.training.divergence import check_weights
from cnnx.training.history import Position

SECONDS = {'s': 1, 'm': 60, 'h': 3600}
# Settings that the place within an epoch depends on.
ORDER = ('samples', 'batches', 'batch_size', 'shuffle')
# Settings that the bits depend on, and that nobody passes to `train`.
EXACT = ('fused', 'backend', 'tier', 'cnnx', 'numpy')


class Every:
    """When to save within an epoch: `checkpoint_every` of `train`.

    Args:
        interval: a number of batches, or a time such as '30s', '5m', '1h' or a `datetime.timedelta`.

    Raises:
        ValueError: it is none of these.
    """

    def __init__(self, interval):
        self.batches = self.seconds = math.inf
        if isinstance(interval, datetime.timedelta):
            self.seconds = interval.total_seconds()
        elif isinstance(interval, str) and (match := re.fullmatch(r'([0-9]*\.?[0-9]+)([smh])', interval)):
            self.seconds = float(match[1]) * SECONDS[match[2]]
        else:
            try:
                self.batches = positive_int(interval, 'checkpoint_every')
            except ValueError as error:
                raise ValueError(f"{error}; or a time, such as '30s', '5m' or a timedelta") from None
        if not self.seconds > 0:
            raise ValueError(f'checkpoint_every: expected a time of more than 0 seconds, got {interval!r}')
        self.saved()

    def saved(self):
        """Count from here on."""
        self._done, self._since = 0, time.monotonic()

    def due(self):
        """Count a batch; return whether to save after it."""
        self._done += 1
        if self._done >= self.batches:
            return True
        return self.seconds < math.inf and time.monotonic() - self._since >= self.seconds


class Run:
    """A context in which a run has its folder and prefix for itself.

    Args:
        folder: where the checkpoints go; made if need be.
        prefix: how their names begin.
        settings: a function that returns what, beside the network, the run's bits depend on, by name.
        keep: how many checkpoints of epochs stay; None for all.

    Attributes:
        path: the newest checkpoint, or None.

    Raises:
        TypeError: JSON cannot hold one of the settings.
        ValueError: the folder is no path, or a file, or the prefix names no file.
        OSError: the folder cannot be written into, or another run saves there.
    """

    def __init__(self, folder, prefix, settings, keep=None):
        if not isinstance(folder, (str, os.PathLike)):
            raise ValueError(f'checkpoint_dir: expected the path of a folder as text, got {folder!r}')
        # Where it leads now: the current folder, or a link, may change while the run goes on.
        self.folder = Path(os.path.realpath(folder))
        if self.folder.is_file():
            raise ValueError(f'checkpoint_dir: expected a folder, {self.folder} is a file')
        self.prefix = checkpoint.check_prefix(prefix)
        self._settings = settings
        as_json(settings(), 'settings')  # what JSON cannot hold is refused before anything is written
        self.path = None
        self._run = {'id': uuid.uuid4().hex, 'started': time.time(), 'saved': 0}
        self._files = checkpoint.RunFiles(None if keep is None else positive_int(keep, 'keep'))

    @property
    def settings(self):
        """The settings as they are now: callbacks may change some."""
        return as_json(self._settings(), 'settings')

    def __enter__(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(self.folder, self.prefix)
        return self

    def __exit__(self, *exception):
        self._lock.release()

    def begin(self, network, schedule, callbacks, progress, interruption):
        """Begin at epoch 1; where an older run has checkpoints, save one of epoch 0, which a resume takes before those.

        Raises:
            DivergenceError: a weight is not finite.
            TypeError, ValueError: network, schedule or callbacks hold what cannot be saved.
        """
        _check_savable(network, schedule, callbacks)
        check_weights(network, 'before epoch 1')
        checkpoint.remove_leftovers(self.folder, self.prefix)
        with interruption.waiting():  # there may be thousands of files
            runs, damage = checkpoint.read_runs(self.folder, self.prefix)
        if runs or damage:
            progress.say(
                f'{self.folder}: there are checkpoints named {self.prefix} of an older run; this one restarts at '
                'epoch 1, replaces them one by one, and is what a resume goes on with'
            )
            newest = max((run['started'] for run in runs.values()), default=0.0)  # by a clock that may have been wrong
            self._run['started'] = max(self._run['started'], math.nextafter(newest, math.inf))
            self.save(network, Position(), callbacks)
        return Position()

    def save(self, network, position, callbacks):
        """Write a checkpoint, read it again, and remove those that it makes superfluous.

        Args:
            network, callbacks: the run's.
            position: how far it is.

        Raises:
            CheckpointError: the disk gives back something else than what was written.
            OSError: the checkpoint cannot be written.
        """
        description = {
            **network_state.describe_training(network),
            'epoch': position.epoch - 1,
            'history': as_json(position.history, 'history'),
            'settings': self.settings,
            'schedule': as_json(position.schedule, 'schedule'),
            'seconds': position.seconds,
            'callbacks': as_json(callbacks.describe(), 'callbacks'),
            'run': {**self._run, 'saved': self._run['saved'] + 1},
        }
        epoch, batch = position.epoch - 1, None
        if position.batch:
            epoch, batch = position.epoch, position.batch
            order = as_json(position.order, 'generator')
            description['within_epoch'] = {
                'batch': batch,
                'order': order,
                'mean': position.mean,
                'learning_rate': position.learning_rate,
            }
        path = checkpoint.checkpoint_path(self.folder, self.prefix, epoch, batch)
        checkpoint.write(path, network_state.arrays(network) | callbacks.arrays(), description)
        checkpoint.read(path)
        self._run, self.path = description['run'], path
        self._files.add(path)

    def resume(self, network, schedule, callbacks, progress, interruption):
        """Bring network, schedule and callbacks to where the newest checkpoint was written; return the `Position`.

        Raises:
            CheckpointError: it is another network's, or all checkpoints are damaged.
            TypeError, ValueError: network, schedule or callbacks hold what cannot be saved.
        """
        _check_savable(network, schedule, callbacks)
        checkpoint.remove_leftovers(self.folder, self.prefix)
        with interruption.waiting():
            found = checkpoint.read_newest(self.folder, self.prefix)
        if found is None:
            progress.say(f'no checkpoint named {self.prefix} in {self.folder}: training begins at epoch 1')
            return Position()
        for line in found.damage:
            progress.warn(f'skipped {line}')
        with checkpoint.as_checkpoint_error(found.path, 'not a checkpoint of a training run'):
            position = _position(found.description)
            if found.description['settings']['schedule'] != self.settings['schedule']:
                position.schedule = {}
            schedule.restore(position.schedule)
            lines = callbacks.restore(found.description['callbacks'], found.arrays)
        trainable = _trainable(network)
        with checkpoint.as_checkpoint_error(found.path, 'not a checkpoint of this network'):
            network_state.restore(network, found.arrays, found.description)
        self._run, self.path = found.description['run'], found.path
        self._files.restore(found)
        self._report(found, network, trainable, lines, progress)
        return self._within_epoch(position, found.description['settings'], progress)

    def _report(self, found, network, trainable, lines, progress):
        """Print where the run continues, and what has changed.

        Args:
            found: the checkpoint.
            network: the run's, as it was restored.
            trainable: what `_trainable` gave of it before.
            lines: what restoring the callbacks gave.
        """
        began = datetime.datetime.fromtimestamp(self._run['started'])
        progress.say(f'resumed from {found.path}, of the run that began on {began:%Y-%m-%d at %H:%M:%S}')
        for name, now in _trainable(network).items():
            if now != trainable[name]:
                progress.warn(f'{name}: trainable is {now}, as it was when this was saved')
        for line in lines:
            progress.say(line)
        then, now = found.description['settings'], self.settings
        for key in now:
            if key in then and then[key] != now[key]:
                say = progress.warn if key in EXACT else progress.say
                say(f'{key} was {then[key]} up to here and is {now[key]} from here on')
        for name, (before, after) in network_state.adjusted(network, found.description).items():
            progress.say(f'{name} was {before} up to here and is {after} from here on')

    def _within_epoch(self, position, settings, progress):
        """Return a position; the beginning of its epoch, if the epoch's batches are others than by these settings."""
        now = self.settings
        if position.batch and any(settings[key] != now[key] for key in ORDER):
            progress.say(
                f'epoch {position.epoch} restarts, with the weights from after {position.batch} of its batches'
            )
            return Position(position.history, position.epoch, schedule=position.schedule, seconds=position.seconds)
        return position


def _locked(folder, prefix):
    """Return the lock on a prefix in a folder, for one run at a time. The system takes it from a process that ends.

    Raises:
        OSError: another run has it, or the file system has no locks.
    """
    from filelock import FileLock, Timeout  # takes 20 ms to import, which runs without checkpoints need not spend

    lock = FileLock(folder / f'.{prefix}.lock', timeout=0, mode=0o666, fallback_to_soft=False)
    try:
        lock.acquire()
        return lock
    except Timeout:
        error = _denial(lock.lock_file)
        if error is None:
            raise BlockingIOError(
                f'{folder}: another run is saving checkpoints named {prefix} here; '
                'wait for its end, or give another checkpoint_prefix or checkpoint_dir'
            ) from None
    except OSError as found:
        if found.filename is not None:
            raise
        error = found
    reason = f'cannot be locked for one run ({error.strerror}); give a checkpoint_dir on another file system'
    raise OSError(error.errno, reason, str(folder)) from error


def _denial(path):
    """Return the error by which a file system denies a lock, or None: filelock takes EACCES for a lock that is held."""
    if os.name == 'posix':
        import fcntl

        with open(path, 'rb+') as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return None
            except OSError as error:
                return error
    return None


def _check_savable(network, schedule, callbacks):
    """Raise, before anything is trained, what saving would raise later."""
    network_state.describe(network)
    network_state.check_names(network)
    as_json(schedule.state(), 'schedule')
    for callback in callbacks:
        name = type(callback).__name__
        try:
            state, _ = callback.state(), callback.arrays()
        except Exception as error:
            raise ValueError(f'{name}: its state() or arrays() fails before the run begins ({error!r})') from error
        as_json(state, f'{name}: state')
    checkpoint.check_arrays(callbacks.arrays())


def _trainable(network):
    """Return whether layers, and parameters by themselves, are trainable, by what they are called."""
    parameters = {f'parameter {name}': parameter for name, parameter in network.parameters.items()}
    parts = {**{layer.where: layer for layer in network.layers}, **parameters}
    return {name: part.trainable for name, part in parts.items()}


def _position(description):
    """Return the position that a checkpoint's description holds."""
    position = Position(description['history'], description['epoch'] + 1)
    position.schedule, position.seconds = description['schedule'], description['seconds']
    if 'within_epoch' in description:
        within = description['within_epoch']
        position.batch, position.order, position.mean = within['batch'], within['order'], within['mean']
        position.learning_rate = within.get('learning_rate', math.nan)
    return position
