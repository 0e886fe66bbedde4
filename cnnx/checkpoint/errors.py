"""CheckpointError, and the errors of damaged files that it stands for."""

import contextlib
import struct
import tokenize
import zipfile
import zlib

# What zipfile, NumPy and their parsers raise on damaged bytes. RuntimeError: deep nesting, or a file that claims to be
# encrypted. Warning: where warnings are errors.
DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, struct.error, tokenize.TokenError, EOFError, SyntaxError, Warning),
    *(ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError),
)


class CheckpointError(ValueError):
    """A file cannot be read as weights, a network or a checkpoint, or belongs to another network."""


@contextlib.contextmanager
def as_checkpoint_error(path, what):
    """A context for code that uses what was read from a file: its errors become a CheckpointError.

    The message is `path: what (reason)`. A MemoryError stays one, and gets the path.
    """
    try:
        yield
    except CheckpointError:
        raise
    except MemoryError as error:
        raise MemoryError(f'{path}: not enough memory for it') from error
    except (*DAMAGE, OSError) as error:
        raise CheckpointError(f'{path}: {what} ({error})') from error
