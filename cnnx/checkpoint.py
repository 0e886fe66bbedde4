"""Arrays and a description in JSON, to an .npz file and back. Layers are not known here."""

import contextlib
import hashlib
import json
import os
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np

FORMAT = 1
# The zip comment that ends each file: the checksum of all before its digits. Without it, a flipped bit in
# the zip's directory can lose an array that nothing else misses.
SEAL = b'cnnx sha256 '
DIGITS = 64
# What NumPy and zipfile raise for files that are damaged or are something else.
DAMAGE = (
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    NotImplementedError,
    OSError,
    OverflowError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)


class CheckpointError(ValueError):
    """A file cannot be read as weights, a network or a checkpoint, or belongs to another network."""


def write(path, arrays, description=None):
    """Write an .npz file that is either whole or, whatever happens meanwhile, not there.

    The bytes go to a temporary file in the same folder, are flushed to the disk, and take the name at
    the end; a file of that name from before stays until then. The zip comment is the checksum of the rest.

    Args:
        path: where to; used as it is, no suffix is added.
        arrays: arrays by name.
        description: what JSON can hold, kept as the array `description`; None leaves it out.

    Raises:
        OSError: the file cannot be written; it names the path.
    """
    path = Path(path)
    if description is not None:
        arrays = {**arrays, 'description': np.array(json.dumps({'format': FORMAT, **description}))}
    temporary = path.with_name(f'.{path.name}.{os.getpid()}.tmp')
    try:
        with open(temporary, 'w+b') as file:
            _write_zip(file, arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise OSError(error.errno, error.strerror or str(error), str(path)) from error
        raise
    _sync_folder(path.parent)


def read(path):
    """Return the arrays of an .npz file by name, and its description, or {} where it has none.

    Raises:
        CheckpointError: it is not a whole .npz file of plain arrays, or newer than this version of cnnx.
        OSError: there is no such file, or it cannot be opened.
    """
    with _opened(path) as (file, stream):
        sealed = _check_seal(stream)
        arrays = {name: _array(file, name) for name in file.files}
        description = _description(arrays.pop('description', None))
        if description.get('format', FORMAT) != FORMAT:
            raise CheckpointError(
                f'{path}: written in format {description["format"]}, this version of cnnx reads format {FORMAT}; '
                'install a newer cnnx'
            )
        if description and not sealed:
            raise ValueError('its checksum is missing')
    return arrays, description


def read_description(path):
    """Return a file's description, {} where it has none, without reading or checking anything else."""
    with _opened(path) as (file, _):
        return _description(_array(file, 'description') if 'description' in file.files else None)


def checkpoint_path(folder, prefix, epoch):
    """Return where the checkpoint of an epoch goes."""
    return Path(folder, f'{prefix}_epoch_{epoch}.npz')


def read_newest(folder, prefix):
    """Read the checkpoint to resume from: of the run that began last, the one with the highest epoch.

    A run that begins anew in the same folder replaces files one by one, and those of the run before it
    that have a higher number are still there. Damaged files are passed over.

    Returns:
        (path, arrays, description, damage), damage being a line for each file passed over; or None where
        there is no checkpoint.

    Raises:
        CheckpointError: there are checkpoints and all of them are damaged.
    """
    candidates, damage = _candidates(folder, prefix)
    for _, _, path in sorted(candidates, reverse=True):
        try:
            return path, *read(path), damage
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


def _candidates(folder, prefix):
    """Return (when its run began, epoch, path) of each checkpoint, and a line for each that cannot be read."""
    candidates, damage = [], []
    for epoch, path in _numbered(folder, prefix):
        try:
            started = float(read_description(path)['run']['started'])
            candidates.append((started, epoch, path))
        except (CheckpointError, OSError) as error:
            damage.append(str(error))
        except (LookupError, TypeError, ValueError):
            damage.append(f'{path}: not a checkpoint of a training run')
    return candidates, damage


def check_prefix(prefix):
    """Return a prefix that names files inside their folder, or raise a ValueError."""
    if not isinstance(prefix, str) or not prefix or prefix != os.path.basename(prefix) or '\0' in prefix:
        raise ValueError(f'checkpoint_prefix: expected the beginning of a file name, got {prefix!r}')
    return prefix


def _numbered(folder, prefix):
    """Return (epoch, path) of the files that are named as checkpoints."""
    start = f'{prefix}_epoch_'
    found = []
    for path in Path(folder).glob('*.npz'):
        number = path.stem.removeprefix(start)
        if path.stem.startswith(start) and number.isascii() and number.isdigit():
            found.append((int(number), path))
    return found


@contextlib.contextmanager
def _opened(path):
    """Open an .npz file; yield it and its stream. What damage raises meanwhile becomes a CheckpointError."""
    with open(path, 'rb') as stream:
        try:
            if not zipfile.is_zipfile(stream):
                raise CheckpointError(f'{path}: not an .npz file')
            stream.seek(0)
            with np.load(stream, allow_pickle=False) as file:
                yield file, stream
        except CheckpointError:
            raise
        except DAMAGE as error:
            raise CheckpointError(f'{path}: damaged, or no .npz file of numbers ({error})') from error


def _array(file, name):
    """Return an array of an .npz file, which may have members that are something else."""
    try:
        array = file[name]
    except ValueError as error:
        if 'pickle' in str(error):
            raise ValueError(f'{name} holds Python objects, which are never loaded') from error
        raise
    if not isinstance(array, np.ndarray):
        raise ValueError(f'{name} is no array')
    return array


def _write_zip(file, arrays):
    """Write an .npz file, as `np.savez` does, that ends with the checksum of all before it."""
    with zipfile.ZipFile(file, 'w') as archive:
        archive.comment = SEAL + DIGITS * b'0'
        for name, array in arrays.items():
            with archive.open(f'{name}.npy', 'w', force_zip64=True) as member:
                np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)
    digest = _digest(file)
    file.seek(-DIGITS, os.SEEK_END)
    file.write(digest)


def _check_seal(file):
    """Return whether a zip file ends with a checksum, or raise a ValueError if that is wrong."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(size - len(SEAL) - DIGITS, 0))
    if file.read(len(SEAL)) != SEAL:
        return False
    found = file.read()
    if found != _digest(file):
        raise ValueError('its checksum is wrong')
    return True


def _digest(file):
    """Return the sha256, in digits, of a file without its last 64 bytes."""
    left = file.seek(0, os.SEEK_END) - DIGITS
    file.seek(0)
    digest = hashlib.sha256()
    while left:
        chunk = file.read(min(left, 1 << 20))
        digest.update(chunk)
        left -= len(chunk)
    return digest.hexdigest().encode()


def _description(array):
    if array is None:
        return {}
    if array.shape != () or array.dtype.kind != 'U':
        raise ValueError('its description is not text')
    description = json.loads(array.item())
    if not isinstance(description, dict):
        raise ValueError('its description is not an object')
    return description


def _sync_folder(folder):
    """Make a rename last through a power cut, where folders can be opened at all."""
    if os.name != 'posix':
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
