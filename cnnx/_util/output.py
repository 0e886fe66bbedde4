"""Standard output and error that a program does without once they fail: closed, full, or their reader gone."""

import contextlib
import os
import sys


class _Unfailing:
    """A text stream whose writing never fails: characters that it does not have are escaped, and once it cannot take
    any, all is dropped.
    """

    def __init__(self, stream):
        self._stream = stream

    def __getattr__(self, name):
        return getattr(self._stream, name)

    def write(self, text):
        try:
            self._try(self._stream.write, text)
        except UnicodeEncodeError:  # names of files and classes may hold any characters
            self._try(self._stream.write, text.encode('ascii', 'backslashreplace').decode())
        return len(text)

    def flush(self):
        self._try(self._stream.flush)

    def _try(self, function, *arguments):
        try:
            function(*arguments)
        except UnicodeEncodeError:  # of the text, not of the stream
            raise
        except (OSError, ValueError):
            with open(os.devnull, 'w') as devnull, contextlib.suppress(OSError, ValueError):
                # What waits in its buffer would fail again when the interpreter ends.
                os.dup2(devnull.fileno(), self._stream.fileno())


@contextlib.contextmanager
def unfailing_output():
    """Have standard output and error never end the program, while the context lasts and as the interpreter ends."""
    before = sys.stdout, sys.stderr
    # One that was closed when Python began is None, and print does nothing.
    guarded = [stream and _Unfailing(stream) for stream in before]
    sys.stdout, sys.stderr = guarded
    try:
        yield
    finally:
        for stream in filter(None, guarded):
            stream.flush()
        sys.stdout, sys.stderr = before
