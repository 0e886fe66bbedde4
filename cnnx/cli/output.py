"""Standard output whose reader may end first: `cnnx ... | head -1`."""

import contextlib
import os
import sys


@contextlib.contextmanager
def closed_pipes_are_quiet():
    """A context that ends the program with status 141, and no traceback, where a closed pipe is written to."""
    try:
        yield
    except BrokenPipeError:
        raise SystemExit(141) from None
    finally:
        try:
            print(end='', flush=True)
        except BrokenPipeError:  # what is left would fail again when Python ends: drop it
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
