"""The checkpoints of a run in their folder: their names, which is the newest, which may go.

`{prefix}_epoch_{n}.npz` is written at the end of epoch n, `{prefix}_epoch_{n}_batch_{b}.npz` within it, when b
of its batches are done.
"""

import contextlib
import os
import re
from pathlib import Path
from typing import NamedTuple

from cnnx.checkpoint.files import CheckpointError, read, read_description

# File systems take names of 255 bytes; the rest is for numbers, and for the name while a file is written.
LONGEST_PREFIX = 150


class Found(NamedTuple):
    """A checkpoint that `read_newest` found: where, what it holds, and a line for each file passed over."""

    path: Path
    arrays: dict
    description: dict
    damage: list


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


def checkpoints(folder, prefix=r'.+'):
    """Return {path: how far it is} of the files named as checkpoints: (epochs done, batches done beyond)."""
    pattern = re.compile(rf'{prefix}_epoch_([0-9]+)(?:_batch_([0-9]+))?\.npz', re.DOTALL)
    found = {}
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            if match := pattern.fullmatch(entry.name):
                epoch, batch = match.groups()
                done = (int(epoch), 0) if batch is None else (int(epoch) - 1, int(batch))
                found[Path(folder, entry.name)] = done
    return found


def read_newest(folder, prefix):
    """Read the checkpoint to resume from: of the run that began last, the one that it saved last.

    A run that begins anew in the same folder replaces files one by one, and those of the run before it
    that have a higher number are still there. So what counts is what files say, not how they are named.
    Damaged files are passed over.

    Returns:
        A `Found`, or None where there is no checkpoint.

    Raises:
        CheckpointError: there are checkpoints and all of them are damaged.
    """
    candidates, damage = _candidates(folder, prefix)
    for _, _, path in sorted(candidates, reverse=True):
        try:
            return Found(path, *read(path), damage)
        except (CheckpointError, OSError) as error:
            damage.append(str(error))
    if damage:
        raise CheckpointError(
            f'no checkpoint named {prefix} in {folder} can be read:\n  ' + '\n  '.join(damage) + '\n'
            'Move them away, or train without resuming'
        )
    return None


def newest_start(folder, prefix):
    """Return when the run began that `read_newest` takes, in seconds; None where there is no checkpoint."""
    candidates, damage = _candidates(folder, prefix)
    return max((started for started, _, _ in candidates), default=0.0 if damage else None)


def last_saved(folder, prefix, run):
    """Return the highest number among the checkpoints that a run, by its id, has saved and that tell theirs."""
    found = map(_run_of, checkpoints(folder, re.escape(prefix)))
    return max((saved for other, saved in filter(None, found) if other == run), default=0)


def remove_older(path, keep):
    """Remove a run's checkpoints that one of its checkpoints makes superfluous, if that one is whole.

    Of those saved before it, these are all within epochs, and all of epochs but the last `keep` (None: keep
    them all). One that cannot be removed now is left for the next time.

    Raises:
        CheckpointError: it is damaged, and nothing was removed.
        OSError: it cannot be opened, and nothing was removed.
    """
    _, description = read(path)
    found = checkpoints(path.parent, re.escape(path.name[: path.name.rindex('_epoch_')]))
    runs = {other: _run_of(other) for other in found}
    own = [other for other, run in runs.items() if run is not None and run[0] == description['run']['id']]
    own = [other for other in own if runs[other] <= runs[path]]
    own.sort(key=lambda other: (runs[other], other == path))
    epochs = [other for other in own if found[other][1] == 0]
    superfluous = [other for other in own if found[other][1] > 0 and other != path]
    superfluous += [] if keep is None else epochs[:-keep]
    for other in superfluous:
        with contextlib.suppress(OSError):
            other.unlink()


def remove_leftovers(folder, prefix):
    """Remove the temporary files of runs that were killed while they saved; no such run must be alive."""
    pattern = re.compile(rf'\.{re.escape(prefix)}_epoch_[0-9]+(_batch_[0-9]+)?\.npz\.[0-9]+-[0-9]+\.tmp')
    for path in Path(folder).glob('.*.tmp'):
        if pattern.fullmatch(path.name):
            with contextlib.suppress(OSError):
                path.unlink()


def _run_of(path):
    """Return (the run's id, how many checkpoints it had saved) of a checkpoint, or None where that cannot be read."""
    try:
        run = read_description(path)['run']
        return str(run['id']), int(run['saved'])
    except (CheckpointError, LookupError, OSError, OverflowError, TypeError, ValueError):
        return None


def _candidates(folder, prefix):
    """Return (when its run began, its number among what that saved, path) of each checkpoint, and lines on damage."""
    candidates, damage = [], []
    for path in checkpoints(folder, re.escape(prefix)):
        try:
            run = read_description(path)['run']
            candidates.append((float(run['started']), int(run['saved']), path))
        except (CheckpointError, OSError) as error:
            damage.append(str(error))
        except (LookupError, OverflowError, TypeError, ValueError):
            damage.append(f'{path}: not a checkpoint of a training run')
    return candidates, damage
