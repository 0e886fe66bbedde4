"""The checkpoints of a run in their folder: their names, which is the newest, which may go.

`{prefix}_epoch_{n}.npz` is written at the end of epoch n, `{prefix}_epoch_{n}_batch_{b}.npz` within it, when b
of its batches are done.
"""

import contextlib
import os
import re
from pathlib import Path
from typing import NamedTuple

from cnnx.checkpoint.atomic import remove_temporary
from cnnx.checkpoint.errors import DAMAGE, CheckpointError, damage_noted, from_the_file, system_errors_ignored
from cnnx.checkpoint.files import read, read_description

# File systems take names of 255 bytes; the rest is for numbers, and for the name while a file is written.
LONGEST_PREFIX = 150


class Found(NamedTuple):
    """A checkpoint that `read_newest` found.

    Attributes:
        path, arrays, description: where it is, and what it holds.
        damage: a line for each file passed over.
        runs: what each checkpoint that tells it says of its run, as `described_run` gives it.
    """

    path: Path
    arrays: dict
    description: dict
    damage: list
    runs: list


class Readings:
    """What was read in checkpoints, remembered for as long as their files stay as they are."""

    def __init__(self):
        self._runs, self._whole = {}, {}

    def read(self, path):
        """Return what `read` gives of a file, and remember that it is whole."""
        signature = _signature(path)
        found = read(path)
        self._whole[path] = signature
        return found

    def is_whole(self, path):
        """Return whether a file can be read, all of it."""
        with system_errors_ignored(), damage_noted([]):
            if self._whole.get(path) != _signature(path):
                self.read(path)
            return True
        return False

    def run_of(self, path):
        """Return what a checkpoint says of its run, as `described_run` gives it.

        Raises:
            CheckpointError, OSError: it does not tell.
        """
        signature = _signature(path)
        if path not in self._runs or self._runs[path][0] != signature:
            try:
                self._runs[path] = signature, described_run(read_description(path))
            except CheckpointError:
                raise
            except DAMAGE as error:
                if not from_the_file(error):
                    raise
                raise CheckpointError(f'{path}: not a checkpoint of a training run') from error
        return self._runs[path][1]

    def remove(self, path):
        """Remove a file and forget it; one that cannot be removed stays."""
        with system_errors_ignored():
            path.unlink()
            self._whole.pop(path, None)
            self._runs.pop(path, None)


def checkpoint_path(folder, prefix, epoch, batch=None):
    """Return where the checkpoint of an epoch goes, or of a batch within it."""
    return Path(folder, f'{prefix}_epoch_{epoch}{"" if batch is None else f"_batch_{batch}"}.npz')


def check_prefix(prefix):
    """Return a prefix that names files inside their folder, or raise a ValueError."""
    if not isinstance(prefix, str) or not prefix or prefix != os.path.basename(prefix) or '\0' in prefix:
        raise ValueError(f'checkpoint_prefix: expected the beginning of a file name, got {prefix!r}')
    if len(os.fsencode(prefix)) > LONGEST_PREFIX:
        raise ValueError(f'checkpoint_prefix: expected at most {LONGEST_PREFIX} bytes, got {prefix!r}')
    return prefix


def described_run(description):
    """Return {'id', 'started', 'saved'} of a checkpoint's run: its name, when it began, how often it had saved.

    Raises:
        LookupError, OverflowError, TypeError, ValueError: the description is not of a training run.
    """
    run = description['run']
    return {'id': str(run['id']), 'started': float(run['started']), 'saved': int(run['saved'])}


def checkpoints(folder, prefix=None):
    """Return {path: how far it is} of the files named as checkpoints: (epochs done, batches done beyond).

    Args:
        folder: that has them.
        prefix: how their names begin; None for any beginning.
    """
    pattern, found = _name(prefix), {}
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            if match := pattern.fullmatch(entry.name):
                epoch, batch = match.groups()
                done = (int(epoch), 0) if batch is None else (int(epoch) - 1, int(batch))
                found[Path(folder, entry.name)] = done
    return found


def read_newest(folder, prefix, readings=None):
    """Read the checkpoint to resume from: of the run that began last, the one that it saved last.

    A run that begins anew in the same folder replaces files one by one, and those of the run before it
    that have a higher number are still there. So what counts is what files say, not how they are named.
    Damaged files are passed over.

    Returns:
        A `Found`, or None where there is no checkpoint.

    Raises:
        CheckpointError: there are checkpoints and all of them are damaged.
        OSError: one cannot be opened.
    """
    readings = readings or Readings()
    candidates, damage = _candidates(folder, prefix, readings)
    order = {path: (run['started'], run['saved'], path) for run, path in candidates}
    for path in sorted(order, key=order.get, reverse=True):
        with damage_noted(damage):
            return Found(path, *readings.read(path), damage, [run for run, _ in candidates])
    if damage:
        raise CheckpointError(
            f'no checkpoint named {prefix} in {folder} can be read:\n  ' + '\n  '.join(damage) + '\n'
            'Move them away, or train without resuming'
        )
    return None


def newest_start(folder, prefix, readings):
    """Return when the run began that `read_newest` takes, in seconds; None where there is no checkpoint."""
    candidates, damage = _candidates(folder, prefix, readings)
    return max((run['started'] for run, _ in candidates), default=0.0 if damage else None)


def remove_older(path, keep, readings):
    """Remove a run's checkpoints that one of its checkpoints makes superfluous, if that one is whole.

    Of those saved before it, these are all within epochs, and all of epochs but the last `keep` that are whole
    (None: keep them all). One that cannot be removed now is left for the next time.

    Raises:
        CheckpointError: it is damaged, and nothing was removed.
        OSError: it cannot be opened, and nothing was removed.
    """
    readings.read(path)
    done = checkpoints(path.parent, path.name[: path.name.rindex('_epoch_')])
    this, own = readings.run_of(path), []
    for other, (_, batches) in done.items():
        if other == path or (batches == 0 and keep is None):
            continue
        with system_errors_ignored(), damage_noted([]):
            run = readings.run_of(other)
            if run['id'] == this['id'] and run['saved'] <= this['saved']:
                own.append((run['saved'], other))
    superfluous = [other for _, other in own if done[other][1] > 0]
    if keep is not None:
        wanted = keep - (done[path][1] == 0)
        for _, other in sorted((row for row in own if done[row[1]][1] == 0), reverse=True):
            if wanted == 0:
                superfluous.append(other)
            elif readings.is_whole(other):
                wanted -= 1
    for other in superfluous:
        readings.remove(other)


def remove_leftovers(folder, prefix):
    """Remove the temporary files of runs that were killed while they saved; no such run must be alive."""
    pattern = _name(prefix)
    remove_temporary(folder, lambda name, process: pattern.fullmatch(name))


def _name(prefix):
    """Return the pattern of the names that `checkpoint_path` gives; its groups are epoch and batch."""
    beginning = '.+' if prefix is None else re.escape(prefix)
    return re.compile(rf'{beginning}_epoch_([0-9]+)(?:_batch_([0-9]+))?\.npz', re.DOTALL)


def _signature(path):
    """Return what changes when a file is written anew."""
    found = os.stat(path)
    return found.st_ino, found.st_size, found.st_mtime_ns


def _candidates(folder, prefix, readings):
    """Return (what it says of its run, path) of each checkpoint, and a line for each that does not tell."""
    candidates, damage = [], []
    for path in checkpoints(folder, prefix):
        with damage_noted(damage):
            candidates.append((readings.run_of(path), path))
    return candidates, damage
