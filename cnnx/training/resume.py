"""A training run in its folder: saved at the end of epochs and within them, and resumed from there."""

import contextlib
import datetime
import math
import os
import re
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path

from cnnx import checkpoint
from cnnx._util.errors import from_the_system
from cnnx._util.generators import make_generator
from cnnx._util.representation import as_json
from cnnx._util.validation import non_negative, positive_int, whole_number
from cnnx.checkpoint import state
from cnnx.checkpoint.state import adjusted, check_names
from cnnx.training.divergence import check_weights

SECONDS = {'s': 1, 'm': 60, 'h': 3600}
# What the place within an epoch depends on.
ORDER = ('samples', 'batches', 'batch_size', 'shuffle')
# What the bits depend on without being asked for.
EXACT = ('fused', 'backend', 'tier', 'cnnx', 'numpy')


@dataclass
class Position:
    """How far a run is.

    Attributes:
        history: lists of figures, one an epoch that is done.
        epoch: the one to go on with, from 1.
        batch: how many of its batches are done.
        order: the generator's state from before this epoch was shuffled; None at its beginning.
        mean: what its batches came to, as `cnnx.training.history.Mean` holds it.
        schedule: what the learning rate's schedule has learned.
        seconds: how much of its budget of time the run has used, if it has one.
    """

    history: dict = field(default_factory=dict)
    epoch: int = 1
    batch: int = 0
    order: dict | None = None
    mean: list | None = None
    schedule: dict = field(default_factory=dict)
    seconds: float = 0.0


class Every:
    """When to save within an epoch: `checkpoint_every` of `train`.

    Raises:
        ValueError: it is none of these.
    """

    def __init__(self, interval):
        self.batches = self.seconds = math.inf
        if isinstance(interval, datetime.timedelta):
            self.seconds = interval.total_seconds()
        elif isinstance(interval, str) and (match := re.fullmatch(r'([0-9]*\.?[0-9]+)([smh])', interval)):
            self.seconds = float(match[1]) * SECONDS[match[2]]
        elif interval is not None:
            try:
                self.batches = positive_int(interval, 'checkpoint_every')
            except ValueError as error:
                raise ValueError(f"{error}; or a time, such as '30s', '5m' or a timedelta") from None
        if not self.seconds > 0:
            raise ValueError(f'checkpoint_every: expected a time of more than 0 seconds, got {interval!r}')
        self.saved()

    def __bool__(self):
        return self.batches < math.inf or self.seconds < math.inf

    def saved(self):
        """Count from here on."""
        self._done, self._since = 0, time.monotonic()

    def due(self):
        """Count a batch; return whether to save behind it."""
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

    Raises:
        TypeError: JSON cannot hold one of the settings.
        ValueError: the folder is none, or a file, or the prefix is none.
        OSError: the folder cannot be written into, or another run is at work there.
    """

    def __init__(self, folder, prefix, settings, keep=None):
        self.folder = _checked_folder(folder)
        self.prefix = checkpoint.check_prefix(prefix)
        self._settings = settings
        as_json(settings(), 'settings')  # what JSON cannot hold is refused before anything is written
        self.keep = None if keep is None else positive_int(keep, 'keep')
        self.path = None
        self._run = {'id': uuid.uuid4().hex, 'started': time.time(), 'saved': 0}
        self._lock = self.folder / f'.{self.prefix}.lock'
        self._locked = None
        self._exit = contextlib.ExitStack()
        self._readings = checkpoint.Readings()

    @property
    def settings(self):
        """What they are now: callbacks may change some."""
        return as_json(self._settings(), 'settings')

    def __enter__(self):
        if self.folder.exists() and not self.folder.is_dir():
            raise ValueError(f'checkpoint_dir: expected a folder, {self.folder} is a file')
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            self._take_lock()
            checkpoint.remove_leftovers(self.folder, self.prefix)
        except BaseException:
            self._exit.close()
            raise
        return self

    def __exit__(self, *exception):
        self._exit.close()

    def _take_lock(self):
        """Take the lock, unless it is held and its file still there: somebody may have cleared the folder."""
        from filelock import FileLock, Timeout  # takes 20 ms to import, which runs without checkpoints need not spend

        with contextlib.suppress(FileNotFoundError):
            if self._lock.stat().st_ino == self._locked:
                return
        try:
            # A mark in place of a lock would stay where a run is killed.
            lock = FileLock(self._lock, timeout=0, mode=0o666, fallback_to_soft=False)
            self._exit.enter_context(lock)
        except Timeout:
            raise BlockingIOError(
                f'{self.folder}: another run is saving checkpoints named {self.prefix} here; '
                'wait for its end, or give another checkpoint_prefix or checkpoint_dir'
            ) from None
        except OSError as error:
            if error.filename is not None or not from_the_system(error):
                raise
            reason = f'cannot be locked for one run ({error.strerror}); give a checkpoint_dir on another file system'
            raise OSError(error.errno, reason, str(self.folder)) from error
        again, self._locked = self._locked is not None, self._lock.stat().st_ino
        newest = checkpoint.newest_start(self.folder, self.prefix, self._readings) if again else None
        if newest is not None and newest > self._run['started']:
            self._exit.close()
            raise BlockingIOError(
                f'{self.folder}: a run that began later has saved checkpoints named {self.prefix} here, since the '
                'folder or its lock file was moved or removed; this one stops, and leaves them alone'
            )

    def begin(self, network, schedule, callbacks, progress, interruption):
        """Begin anew: where an older run's checkpoints are, leave one of epoch 0 for a resume to find before them.

        Raises:
            DivergenceError: a weight is not finite.
            TypeError, ValueError: network, schedule or callbacks hold what cannot be saved.
        """
        _check_savable(network, schedule, callbacks)
        check_weights(network, 'before epoch 1')
        with interruption.waiting():  # there may be thousands of files
            newest = checkpoint.newest_start(self.folder, self.prefix, self._readings)
        if newest is not None:
            progress.say(
                f'{self.folder}: there are checkpoints named {self.prefix} of an older run; this one begins anew, '
                'replaces them one by one, and is what a resume goes on with'
            )
            self._run['started'] = max(self._run['started'], math.nextafter(newest, math.inf))
            self.save(network, Position(), callbacks)
        return Position()

    def save(self, network, position, callbacks=None):
        """Write a checkpoint, read it again, and remove those that it makes superfluous.

        Args:
            network, callbacks: the run's; no callbacks remember nothing.
            position: how far it is.

        Raises:
            CheckpointError: the disk gives back something else than what was written.
            OSError: the checkpoint cannot be written, or another run has taken over the folder.
        """
        self._take_lock()
        description = {
            **state.describe_training(network),
            'epoch': position.epoch - 1,
            'history': _figures(position.history),
            'settings': self.settings,
            'schedule': as_json(position.schedule, 'schedule'),
            'seconds': position.seconds,
            'callbacks': as_json(callbacks.describe(), 'callbacks') if callbacks else [],
            'run': {**self._run, 'saved': self._run['saved'] + 1},
        }
        epoch, batch = position.epoch - 1, None
        if position.batch:
            epoch, batch = position.epoch, position.batch
            order = as_json(position.order, 'generator')
            description['within_epoch'] = {'batch': batch, 'order': order, 'mean': position.mean}
        path = checkpoint.checkpoint_path(self.folder, self.prefix, epoch, batch)
        arrays = state.arrays(network) | (callbacks.arrays() if callbacks else {})
        checkpoint.write(path, arrays, description)
        self._run = description['run']
        checkpoint.remove_older(path, self.keep, self._readings)
        self.path = path

    def resume(self, network, schedule, callbacks, progress, interruption):
        """Bring network, schedule and callbacks to where the newest checkpoint was written; return the `Position`.

        Raises:
            CheckpointError: it is another network's, or all checkpoints are damaged.
            TypeError, ValueError: network, schedule or callbacks hold what cannot be saved.
        """
        _check_savable(network, schedule, callbacks)
        ours = self.settings
        with interruption.waiting():
            found = checkpoint.read_newest(self.folder, self.prefix, self._readings)
        if found is None:
            progress.say(f'no checkpoint named {self.prefix} in {self.folder}: training begins at epoch 1')
            return Position()
        for line in found.damage:
            progress.warn(f'passed over {line}')
        with checkpoint.misfit_told(found.path, 'not a checkpoint of a training run'):
            run, settings, position = _described(found.description)
            began = datetime.datetime.fromtimestamp(run['started'])
            if settings.get('schedule') != ours['schedule']:
                position.schedule = {}
            schedule.restore(position.schedule)
            begun, dropped = callbacks.restore(found.description.get('callbacks', []), found.arrays)
        trainable = _trainable(network)
        with checkpoint.lack_of_memory_told(found.path):
            state.restore(network, found.arrays, found.description, found.path)
        self._run, self.path = run, found.path
        # What was passed over must not come before what is saved from here on.
        run['saved'] = max(other['saved'] for other in found.runs if other['id'] == run['id'])
        if found.damage:
            run['started'] = math.nextafter(max(other['started'] for other in found.runs), math.inf)
        progress.say(f'resumed from {found.path}, of the run that began on {began:%Y-%m-%d at %H:%M:%S}')
        for name, now in _trainable(network).items():
            if now != trainable[name]:
                progress.warn(f'{name}: trainable is {now}, as it was when this was saved')
        if begun:
            progress.say(f'of the callbacks, {", ".join(begun)} begin anew')
        if dropped:
            progress.say(f'of the callbacks up to here, what {", ".join(dropped)} remembered is dropped')
        # A callback may have changed the optimizer's since that run began.
        last = {key: value for key, value in found.description['optimizer'].items() if key != 'kind'}
        self._tell_changes(settings | last, progress)
        for name, (then, now) in adjusted(network, found.description).items():
            progress.say(f'{name} was {then} up to here and is {now} from here on')
        if position.batch and any(settings.get(key, ours[key]) != ours[key] for key in ORDER):
            progress.say(
                f'epoch {position.epoch} begins anew, with the weights from after {position.batch} of its batches'
            )
            position = Position(position.history, position.epoch, schedule=position.schedule, seconds=position.seconds)
        return position

    def _tell_changes(self, settings, progress):
        """Say which settings are others than those that a checkpoint was written with."""
        for key, value in self.settings.items():
            if key in settings and settings[key] != value:
                tell = progress.warn if key in EXACT else progress.say
                tell(f'{key} was {settings[key]} up to here and is {value} from here on')


def _check_savable(network, schedule, callbacks):
    """Tell now what could not be saved later."""
    state.describe(network)
    check_names(network)
    as_json(schedule.state(), 'schedule')
    for callback in callbacks:
        name = type(callback).__name__
        try:
            kept, _ = callback.state(), callback.arrays()
        except Exception as error:
            raise ValueError(f'{name}: cannot tell what it remembers before the run begins ({error!r})') from error
        as_json(kept, f'{name}: state')
    checkpoint.check_arrays(callbacks.arrays())


def _figures(history):
    """Return the lists of a history as JSON can hold them; callbacks may have added some."""
    try:
        return {key: [float(number) for number in numbers] for key, numbers in history.items()}
    except (TypeError, ValueError) as error:
        raise TypeError(
            f'history: expected lists of numbers, one an epoch, got {history}; '
            'what else a callback remembers belongs into its state()'
        ) from error


def _trainable(network):
    """Return whether layers, and parameters by themselves, are to learn, by what they are called."""
    parameters = {f'parameter {name}': parameter for name, parameter in network.parameters.items()}
    parts = {**{layer.where: layer for layer in network.layers}, **parameters}
    return {name: part.trainable for name, part in parts.items()}


def _described(description):
    """Return run, settings and position of a checkpoint's description; raises what a wrong one makes of it."""
    run = checkpoint.described_run(description)
    settings, history = dict(description['settings']), dict(description['history'])
    epoch = whole_number(description['epoch'], 'epoch')
    position = Position({key: list(map(float, values)) for key, values in history.items()}, epoch + 1)
    position.schedule = description.get('schedule', {})
    position.seconds = non_negative(description.get('seconds', 0.0), 'seconds')
    if (within := description.get('within_epoch')) is not None:
        position.batch, position.order = positive_int(within['batch'], 'batch'), within['order']
        position.mean = [float(number) for number in within['mean']]
        # The sum of finite losses need not be finite.
        if len(position.mean) != 3 or not all(map(math.isfinite, position.mean[1:])) or position.mean[2] <= 0:
            raise ValueError(f'mean: expected a sum and two finite counts, the last not 0, got {within["mean"]!r}')
        if position.order is not None or settings.get('samples') is not None:  # streams have neither
            make_generator(position.order)
    return run, settings, position


def _checked_folder(folder):
    """Return an absolute path, or raise a ValueError if a folder's name is none, an OSError if it leads nowhere."""
    if not isinstance(folder, (str, os.PathLike)) or not isinstance(os.fspath(folder), str) or '\0' in str(folder):
        raise ValueError(f'checkpoint_dir: expected the path of a folder as text, got {folder!r}')
    try:
        path = Path(folder).absolute()
    except FileNotFoundError as error:
        told = 'the current folder, in which checkpoint_dir is, is gone'
        raise FileNotFoundError(error.errno, told, folder) from error
    if path.is_symlink() and not path.exists():
        raise ValueError(f'checkpoint_dir: expected a folder, {path} is a link to what is not there')
    # A link may lead elsewhere while the run goes on.
    return Path(os.path.realpath(path))
