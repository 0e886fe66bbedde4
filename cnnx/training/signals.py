"""Signals during training: Ctrl-C, SIGTERM and SIGHUP are noted as they come, and acted upon between batches."""

import contextlib
import os
import signal
import threading
import warnings

DEFAULTS = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
if hasattr(signal, 'SIGHUP'):  # the terminal is gone; nohup has it ignored
    DEFAULTS[signal.SIGHUP] = signal.SIG_DFL


def explain(error, message):
    """Give a KeyboardInterrupt a message, which a notebook shows in place of the traceback."""
    error.args = error.args or (message,)
    error._render_traceback_ = lambda: [f'KeyboardInterrupt: {error}']  # which IPython looks for


class Interruption:
    """A context in which SIGINT, SIGTERM and SIGHUP are noted instead of acted upon.

    That is so on the main thread, for signals that have their default handlers, which come back at the end; handlers
    that others have set are left alone. A second signal changes nothing, but that it ends a wait again. Processes that
    are forked meanwhile act upon signals as before.

    Attributes:
        signal: the first one that came, or None.
    """

    def __init__(self):
        self.signal = None
        self._before_leaving = None
        self._process = os.getpid()
        self._replaced = []

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            self._replaced = [number for number in DEFAULTS if signal.getsignal(number) is DEFAULTS[number]]
            for number in self._replaced:
                signal.signal(number, self._note)
        return self

    def __exit__(self, kind, error, traceback):
        self._restore()
        if self.signal is not None and (error is None or isinstance(error, Exception)):
            self.leave(error)

    def _restore(self):
        for number in self._replaced:
            signal.signal(number, DEFAULTS[number])

    def _note(self, number, frame):
        if os.getpid() != self._process:
            self._restore()
            signal.raise_signal(number)
            return
        if self.signal is None:
            self.signal = signal.Signals(number)
        if self._before_leaving is not None:
            # What ends the wait may take its time, or never end: pools of processes, the user's own clauses.
            before_leaving, self._before_leaving = self._before_leaving, None
            before_leaving()
            self._before_leaving = before_leaving
            self.leave()

    @contextlib.contextmanager
    def waiting(self, before_leaving=lambda: None):
        """A context in which nothing is half done: each signal calls a function, and raises what `leave` does."""
        self._before_leaving = before_leaving
        try:
            if self.signal is not None:
                self.leave()
            yield
        finally:
            self._before_leaving = None

    def leave(self, error=None):
        """Raise what the signal stands for: KeyboardInterrupt, or SystemExit with status 128 + its number.

        Args:
            error: what has ended the run before that could be done, or None; a warning reports it.
        """
        if error is not None:
            message = f'{self.signal.name}: stopped, after {type(error).__name__}: {error}'
            warnings.warn(message, RuntimeWarning, stacklevel=2)
        if self.signal is signal.SIGINT:
            raise KeyboardInterrupt from error
        raise SystemExit(128 + self.signal) from error
