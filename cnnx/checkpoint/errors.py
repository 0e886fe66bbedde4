"""What goes wrong with files: what damage raises, what the system has against them, and a lack of memory."""

import contextlib
import struct
import sys
import tokenize
import traceback
import zipfile
import zlib

from cnnx._util.errors import from_the_system

# What damaged bytes make zipfile, NumPy and the parsers that it uses raise. RuntimeError is for nesting and for
# what claims to be encrypted; Warning, for who turns them into errors.
DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, struct.error, tokenize.TokenError, EOFError, SyntaxError, Warning),
    *(ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError),
)

# Whose code reads files.
READERS = {*sys.stdlib_module_names, 'cnnx', 'numpy'}


class CheckpointError(ValueError):
    """A file cannot be read as weights, a network or a checkpoint, or belongs to another network."""


@contextlib.contextmanager
def damage_told(path):
    """Turn what damage raises into a CheckpointError, and name the path where memory is lacking."""
    try:
        with lack_of_memory_told(path):
            yield
    except CheckpointError:
        raise
    except (*DAMAGE, OSError) as error:
        if not from_the_file(error):
            raise
        raise CheckpointError(f'{path}: damaged, or no .npz file of numbers ({error})') from error


@contextlib.contextmanager
def misfit_told(path, what):
    """Turn what a file raises that is whole, but not what is wanted, into a CheckpointError: path, what, reason."""
    try:
        yield
    except (LookupError, OSError, OverflowError, RuntimeError, TypeError, ValueError) as error:
        if not from_the_file(error):
            raise
        raise CheckpointError(f'{path}: {what} ({error})') from error


def from_the_file(error):
    """Whether an error may come of a file that was read: no code of the user's, as of a signal handler, raised it."""
    if isinstance(error, OSError):
        return from_the_system(error)
    modules = [frame.f_globals.get('__name__', '') for frame, _ in traceback.walk_tb(error.__traceback__)]
    return all(module.partition('.')[0] in READERS for module in modules)


@contextlib.contextmanager
def lack_of_memory_told(path):
    """Name the path where memory is lacking."""
    try:
        yield
    except MemoryError as error:
        raise MemoryError(f'{path}: not enough memory for it') from error


@contextlib.contextmanager
def damage_noted(lines):
    """Add to a list how a file is damaged, or that it is gone, or none; what cannot be opened is not for that damaged.

    Raises:
        OSError: it is there, but cannot be opened.
    """
    try:
        yield
    except (CheckpointError, FileNotFoundError, IsADirectoryError) as error:
        lines.append(str(error))
    except OSError as error:
        if not from_the_system(error):
            raise
        told = f'{error.strerror}; no checkpoint is passed over for that: have it readable, or move it away'
        raise OSError(error.errno, told, error.filename) from error


@contextlib.contextmanager
def system_errors_ignored():
    """Suppress what the system has against it."""
    try:
        yield
    except OSError as error:
        if not from_the_system(error):
            raise
