"""Ctrl-C and SIGTERM, noted while training goes on and acted upon between batches."""

import signal
import sys
import threading

DEFAULTS = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}


class Interruption:
    """A context in which SIGINT and SIGTERM are noted instead of acted upon.

    That is so on the main thread, and where they have their default handlers, which they get back at the end;
    who has set handlers of his own has them called. A second signal changes nothing.

    Attributes:
        signal: the first one that came, or None.
    """

    def __init__(self):
        self.signal = None
        self._before = {}

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            for number, default in DEFAULTS.items():
                if signal.getsignal(number) is default:
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, kind, *exception):
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self.signal is not None and kind is None:
            self.leave()

    def _note(self, number, frame):
        self.signal = self.signal or signal.Signals(number)

    def leave(self):
        """Raise what the signal stands for: KeyboardInterrupt, or SystemExit with status 128 + its number."""
        if self.signal is signal.SIGINT:
            raise KeyboardInterrupt
        sys.exit(128 + self.signal)
