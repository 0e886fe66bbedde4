"""Progress of training on standard output: a line an epoch; in terminals and notebooks a progress bar; or nothing."""

import contextlib
import functools
import importlib.util
import sys
import warnings


class Progress:
    """Prints what training reports. Output that fails never ends a run: nothing is printed from then on.

    Args:
        verbose: 0 prints nothing, 1 lines and bars, 2 lines alone.
        epochs: how many there will be.

    Raises:
        ValueError: verbose is none of these.

    Attributes:
        bars: whether epochs have progress bars: on a terminal, and in a notebook that has ipywidgets.
    """

    def __init__(self, verbose, epochs):
        if verbose not in (0, 1, 2):
            raise ValueError(f'verbose: expected 0, 1 or 2, got {verbose!r}')
        self.verbose = bool(verbose)
        self.epochs = epochs
        self.bars, self._bar, self._notes = False, None, None
        self._in_notebook = verbose == 1 and in_notebook()
        if verbose == 1:
            with self._failures_noted():
                self.bars = getattr(sys.stdout, 'isatty', bool)() or self._in_notebook

    def say(self, line):
        """Print a line."""
        if self.verbose:
            with self._failures_noted():
                try:
                    print(line, flush=True)
                except UnicodeEncodeError:  # names of files may hold any bytes
                    print(line.encode('ascii', 'backslashreplace').decode(), flush=True)

    def note(self, line):
        """Print a line: during an epoch, after the epoch's own."""
        if self._notes is None:
            self.say(line)
        else:
            self._notes.append(line)

    def warn(self, line):
        """Say something important: as a warning, where nothing is shown."""
        self.say(line)
        if not self.verbose:
            with self._failures_noted():
                warnings.warn(line, RuntimeWarning, stacklevel=2)

    @contextlib.contextmanager
    def epoch(self, number, samples):
        """A context of an epoch: it has a bar, where there are bars, and its notes are printed at the end."""
        self._notes = []
        if self.bars:
            self._show_bar(number, samples)
        try:
            yield
        finally:
            self._close_between_epochs()
            notes, self._notes = self._notes, None
            for line in notes:
                self.say(line)

    def _show_bar(self, number, samples):
        """Show an epoch's bar: on a terminal a new one; in a notebook, whose lines come below it, the same again."""
        description = f'epoch {number}/{self.epochs}'
        options = {'unit': ' samples', 'file': sys.stdout, 'dynamic_ncols': True, 'leave': self._in_notebook}
        with self._failures_noted():
            if self._bar is None:
                self._bar = _bar_class(self._in_notebook)(total=samples, desc=description, **options)
            else:
                self._bar.set_description(description, refresh=False)
                self._bar.reset(samples)

    def _close_between_epochs(self):
        if not self._in_notebook:
            self.close()

    def close(self):
        """Remove the bar, if there is one."""
        if self._bar is not None:
            self._change_bar(self._bar.close)
            self._bar = None  # it holds the output, which cannot be copied with a callback

    def advance(self, samples, mean):
        """Move the bar on by some samples, and show the metrics so far."""
        self._bar.set_postfix_str(describe(mean.metrics()), refresh=False)
        self._change_bar(self._bar.update, samples)

    def finish(self, number, metrics, seconds):
        """Report an epoch."""
        if self.verbose:
            self._close_between_epochs()
            self.say(f'epoch {number}/{self.epochs}: {describe(metrics)} ({seconds:.2f} s)')

    def _change_bar(self, change, *arguments):
        with self._failures_noted():
            if self.verbose:
                change(*arguments)
        self._bar.disable |= not self.verbose  # or closing it would print again

    @contextlib.contextmanager
    def _failures_noted(self):
        """A context after which nothing is shown if the output fails in it: closed, full, or its reader gone."""
        try:
            yield
        except (AttributeError, OSError, ValueError):
            self.verbose = self.bars = False


def in_notebook():
    """Whether this is a notebook of Jupyter that can show a widget as a progress bar."""
    shell = getattr(sys.modules.get('IPython'), 'get_ipython', lambda: None)()
    return 'IPKernelApp' in getattr(shell, 'config', ()) and importlib.util.find_spec('ipywidgets') is not None


@functools.cache
def _bar_class(in_notebook):
    """Return the bar's class. Importing tqdm takes 30 ms, which silent runs need not spend."""
    if in_notebook:
        from tqdm.notebook import tqdm
    else:
        from tqdm import tqdm

    class Bar(tqdm):
        def refresh(self, nolock=False, lock_args=None):
            """Release the lock where the output fails, too: tqdm's thread waits for it, and the process for that."""
            with self.get_lock():
                return super().refresh(nolock=True)

    return Bar


def describe(metrics):
    """Return metrics as a line has them."""
    return ', '.join(f'{key} {value:.4f}' for key, value in metrics.items())
