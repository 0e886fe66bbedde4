"""Progress of training on standard output: a line for each epoch, on a terminal a progress bar, or nothing."""

import contextlib
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
        bars: whether epochs have progress bars.
    """

    def __init__(self, verbose, epochs):
        if verbose not in (0, 1, 2):
            raise ValueError(f'verbose: expected 0, 1 or 2, got {verbose!r}')
        self.verbose = bool(verbose)
        self.epochs = epochs
        self.bars, self._bar = False, None
        if verbose == 1:
            with self._failures_noted():
                self.bars = getattr(sys.stdout, 'isatty', bool)()

    def say(self, line):
        """Print a line."""
        if self.verbose:
            with self._failures_noted():
                try:
                    print(line, flush=True)
                except UnicodeEncodeError:  # names of files may hold any bytes
                    print(line.encode('ascii', 'backslashreplace').decode(), flush=True)

    def warn(self, line):
        """Say something important: as a warning, where nothing is shown."""
        self.say(line)
        if not self.verbose:
            with self._failures_noted():
                warnings.warn(line, RuntimeWarning, stacklevel=2)

    @contextlib.contextmanager
    def bar(self, number, samples):
        """A context in which an epoch has its bar, where there are bars."""
        if not self.bars:
            yield
            return
        from tqdm import tqdm  # takes 30 ms to import, which silent runs need not spend

        options = {'unit': ' samples', 'file': sys.stdout, 'dynamic_ncols': True, 'leave': False}
        with self._failures_noted():
            self._bar = tqdm(total=samples, desc=f'epoch {number}/{self.epochs}', **options)
        try:
            yield
        finally:
            if self._bar is not None:
                self._change_bar(self._bar.close)

    def advance(self, samples, mean):
        """Move the bar on by some samples, and show the metrics so far."""
        self._bar.set_postfix_str(describe(mean.metrics()), refresh=False)
        self._change_bar(self._bar.update, samples)

    def finish(self, number, metrics, seconds):
        """Report an epoch."""
        if self.verbose:
            if self.bars:
                self._change_bar(self._bar.close)
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


def describe(metrics):
    return ', '.join(f'{key} {value:.4f}' for key, value in metrics.items())
