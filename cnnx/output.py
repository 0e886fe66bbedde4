"""Standard output that a program does without once it fails: closed, full, or its reader gone."""

import contextlib
import os
import sys

from cnnx.errors import from_the_system


class _Unfailing:
    """A text stream whose writing never fails: what it cannot take is dropped from then on."""

    def __init__(self, stream):
        self._stream = stream

    def __getattr__(self, name):
        return getattr(self._stream, name)

    def write(self, text):
        self._try(self._stream.write, text)
        return len(text)

    def flush(self):
        self._try(self._stream.flush)

    def _try(self, function, *arguments):
        try:
            function(*arguments)
        except UnicodeEncodeError:  # of the text, not of the stream
            raise
        except (OSError, ValueError) as error:
            if not from_the_system(error):
                raise
            with open(os.devnull, 'w') as devnull, contextlib.suppress(OSError, ValueError):
                # What waits in its buffer would fail again when the interpreter ends.
                os.dup2(devnull.fileno(), self._stream.fileno())


@contextlib.contextmanager
def unfailing_output():
    """Have standard output never end the program, while the context lasts and as the interpreter ends."""
    before = sys.stdout
    if before is None:  # it was closed when Python began, and print does nothing
        yield
        return
    sys.stdout = _Unfailing(before)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stdout = before
