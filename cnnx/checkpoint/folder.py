"""The checkpoints of a run in their folder: their names, which one is the newest, which are removed.

`{prefix}_epoch_{n}.npz` is written at the end of epoch n, `{prefix}_epoch_{n}_batch_{b}.npz` within it, when b
of its batches are done.
"""

import contextlib
import os
import re
from pathlib import Path
from typing import NamedTuple

from cnnx.checkpoint.errors import CheckpointError, as_checkpoint_error
from cnnx.checkpoint.files import read, read_description

# File systems take names of 255 bytes; the rest is for numbers, and for the name while a file is written.
LONGEST_PREFIX = 150
NUMBERS = r'_epoch_([0-9]+)(?:_batch_([0-9]+))?\.npz'


class Found(NamedTuple):
    """A checkpoint that `read_newest` found.

    Attributes:
        path, arrays, description: where it is, and what it holds.
        damage: a line for each file that was skipped.
        runs: what each checkpoint says about its run, by path, as `read_runs` gives it.
    """

    path: Path
    arrays: dict
    description: dict
    damage: list
    runs: dict


class RunFiles:
    """The checkpoints of one run, oldest first; it removes those that are superfluous.

    Args:
        keep: how many checkpoints of epochs stay; None for all.
    """

    def __init__(self, keep):
        self._keep = keep
        self._whole = {}  # whether each file is known to be whole

    def restore(self, found):
        """Go on with the files of the run that a checkpoint found by `read_newest` belongs to."""
        run = found.runs[found.path]
        own = [path for path in found.runs if found.runs[path]['id'] == run['id']]
        self._whole = {path: path == found.path for path in sorted(own, key=lambda path: found.runs[path]['saved'])}

    def add(self, path):
        """Add a file that was just written, and found to be whole; remove those that it makes superfluous.

        These are all within epochs, and all of epochs but the last `keep` that are whole. A file that cannot be
        removed now is left for the next time.
        """
        self._whole.pop(path, None)
        self._whole[path] = True
        kept = 0
        for other in reversed(list(self._whole)):
            within_epoch = re.search(NUMBERS + '$', other.name)[2] is not None
            if (within_epoch and other != path) or kept == self._keep:
                with contextlib.suppress(OSError):
                    other.unlink(missing_ok=True)
                    del self._whole[other]
            elif self._keep is not None and not within_epoch:
                kept += self._is_whole(other)

    def _is_whole(self, path):
        if not self._whole[path]:
            with contextlib.suppress(CheckpointError, OSError):
                read(path)
                self._whole[path] = True
        return self._whole[path]


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


def read_runs(folder, prefix):
    """Return what each checkpoint in a folder says about its run, and a line for each that cannot be read.

    Returns:
        {path: {'id', 'started', 'saved'}}: the run's name, when it began, in seconds, how often it had saved; and a
        list of text.

    Raises:
        OSError: one cannot be opened.
    """
    runs, damage = {}, []
    for path in checkpoints(folder, prefix):
        with _damage_noted(damage):
            description = read_description(path)
            with as_checkpoint_error(path, 'not a checkpoint of a training run'):
                run = description['run']
                runs[path] = {'id': run['id'], 'started': float(run['started']), 'saved': int(run['saved'])}
    return runs, damage


def read_newest(folder, prefix):
    """Read the checkpoint to resume from: of the run that began last, the one that it saved last.

    A run that restarts in the same folder replaces files one by one, and those of the run before it that have a
    higher number are still there. So what counts is what files say, not how they are named. Damaged files are skipped.

    Returns:
        A `Found`, or None where there is no checkpoint.

    Raises:
        CheckpointError: there are checkpoints and all of them are damaged.
        OSError: one cannot be opened.
    """
    runs, damage = read_runs(folder, prefix)
    for path in sorted(runs, key=lambda path: (runs[path]['started'], runs[path]['saved'], path), reverse=True):
        with _damage_noted(damage):
            return Found(path, *read(path), damage, runs)
    if damage:
        raise CheckpointError(
            f'no checkpoint named {prefix} in {folder} can be read:\n  ' + '\n  '.join(damage) + '\n'
            'Move them away, or train without resuming'
        )
    return None


def remove_leftovers(folder, prefix):
    """Remove the temporary files of runs that were killed while they saved; no such run must be alive."""
    beginning = re.escape(prefix)
    for path in Path(folder).glob('.*.tmp'):
        if re.fullmatch(rf'\.{beginning}{NUMBERS}\.[0-9]+-[0-9]+\.tmp', path.name):
            with contextlib.suppress(OSError):
                path.unlink()


def _name(prefix):
    """Return the pattern of the names that `checkpoint_path` gives; its groups are epoch and batch."""
    return re.compile(('.+' if prefix is None else re.escape(prefix)) + NUMBERS, re.DOTALL)


@contextlib.contextmanager
def _damage_noted(lines):
    """A context that adds to a list how a file is damaged, or that it is gone, instead of raising that.

    Raises:
        OSError: the file is there, but cannot be opened: that is no damage, and to skip it would lose an epoch.
    """
    try:
        yield
    except (CheckpointError, FileNotFoundError) as error:
        lines.append(str(error))
    except OSError as error:
        reason = f'{error.strerror}; it is not skipped for that: make it readable, or move it away'
        raise OSError(error.errno, reason, error.filename) from error
