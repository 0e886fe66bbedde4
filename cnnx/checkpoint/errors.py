"""What goes wrong with files: what damage raises, what the system has against them, and a lack of memory."""

import contextlib
import struct
import tokenize
import zipfile
import zlib

from cnnx.errors import from_the_system

# What damaged bytes make zipfile, NumPy and the parsers that it uses raise. RuntimeError is for nesting and for
# what claims to be encrypted; Warning, for who turns them into errors.
DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, struct.error, tokenize.TokenError, EOFError, SyntaxError, Warning),
    *(ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError),
)


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
        if not from_the_system(error):
            raise
        raise CheckpointError(f'{path}: damaged, or no .npz file of numbers ({error})') from error


@contextlib.contextmanager
def lack_of_memory_told(path):
    """Name the path where memory is lacking."""
    try:
        yield
    except MemoryError as error:
        raise MemoryError(f'{path}: not enough memory for it') from error


@contextlib.contextmanager
def damage_noted(lines):
    """Add to a list why a file cannot be read."""
    try:
        yield
    except (CheckpointError, OSError) as error:
        if not from_the_system(error):
            raise
        lines.append(str(error))


@contextlib.contextmanager
def system_errors_ignored():
    """Suppress what the system has against it."""
    try:
        yield
    except OSError as error:
        if not from_the_system(error):
            raise
