"""Ctrl-C, SIGTERM and SIGHUP, noted while training goes on and acted upon between batches."""

import contextlib
import os
import signal
import threading
import warnings

DEFAULTS = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
if hasattr(signal, 'SIGHUP'):  # of a terminal that is gone; nohup has it ignored
    DEFAULTS[signal.SIGHUP] = signal.SIG_DFL


class Interruption:
    """A context in which SIGINT, SIGTERM and SIGHUP are noted instead of acted upon.

    That is so on the main thread, and where they have their default handlers, or those of a run within which this one
    is, which they get back at the end; who has set handlers of his own has them called. A second signal changes
    nothing, but that it ends a wait again. Processes that are forked meanwhile act upon signals as before.

    Attributes:
        signal: the first one that came, or None.
    """

    def __init__(self):
        self.signal = None
        self._outer = None
        self._before_leaving = None
        self._process = os.getpid()
        self._before = {}

    def __enter__(self):
        try:
            if threading.current_thread() is threading.main_thread():
                for number, default in DEFAULTS.items():
                    handler = signal.getsignal(number)
                    outer = getattr(handler, '__self__', None)
                    nested = isinstance(outer, Interruption)
                    if nested:
                        self._outer = outer
                    if nested or handler is default:
                        self._before[number] = handler
                        signal.signal(number, self._note)
        except BaseException:
            self._restore()
            raise
        return self

    def __exit__(self, kind, error, traceback):
        try:
            self._restore()
        except BaseException:  # of another handler, which a user has set
            self._restore()
            raise
        if self.signal is not None and (error is None or isinstance(error, Exception)):
            self.leave(error)

    def _restore(self):
        while self._before:
            number, handler = next(iter(self._before.items()))
            signal.signal(number, handler)
            del self._before[number]

    def _note(self, number, frame):
        if os.getpid() != self._process:
            self._restore()
            signal.raise_signal(number)
            return
        if self.signal is None:
            self.signal = signal.Signals(number)
            outer = self._outer
            while outer is not None:
                outer.signal, outer = outer.signal or self.signal, outer._outer
            self._let_children_die()
        if self._before_leaving is not None:
            # What ends the wait may take its time, or never end: pools of processes, the user's own clauses.
            before_leaving, self._before_leaving = self._before_leaving, None
            before_leaving()
            self._before_leaving = before_leaving
            self.leave()

    def _let_children_die(self):
        """Leave other processes' ends alone until the run has stopped: what signals a terminal's processes ends all."""
        died = getattr(signal, 'SIGCHLD', None)
        if died is not None and callable(handler := signal.getsignal(died)):
            self._before[died] = handler
            signal.signal(died, lambda number, frame: None)

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
            error: what has ended the run before that could be done, or None; a warning tells it.
        """
        if error is not None:
            message = f'{self.signal.name}: stopped, after {type(error).__name__}: {error}'
            try:
                warnings.warn(message, RuntimeWarning, stacklevel=2)
            except RuntimeWarning:  # where warnings are errors, the signal still comes first
                with warnings.catch_warnings():
                    warnings.simplefilter('always')
                    warnings.warn(message, RuntimeWarning, stacklevel=2)
        if self.signal is signal.SIGINT:
            raise KeyboardInterrupt from error
        raise SystemExit(128 + self.signal) from error
