"""What training shows: a line an epoch, on a terminal a bar before it, or nothing."""

import contextlib
import sys
import warnings

from cnnx._util.errors import from_the_system


class Progress:
    """Where training reports to: standard output, which is left alone once it fails. That never ends a run.

    Args:
        verbose: 0 shows nothing, 1 all, 2 lines alone.
        epochs: how many there will be.

    Raises:
        ValueError: verbose is none of these.
    """

    def __init__(self, verbose, epochs):
        if verbose not in (0, 1, 2):
            raise ValueError(f'verbose: expected 0, 1 or 2, got {verbose!r}')
        self.verbose = bool(verbose)
        self.epochs = epochs
        self._bars = verbose == 1

    def say(self, line):
        with self.failures_noted():
            if self.verbose:
                try:
                    print(line, flush=True)
                except UnicodeEncodeError:  # names of files may hold any bytes
                    print(line.encode('ascii', 'backslashreplace').decode(), flush=True)

    def warn(self, line):
        """Say what must not go unnoticed: as a warning, where nothing is shown."""
        self.say(line)
        if not self.verbose:
            with self.failures_noted():
                warnings.warn(line, RuntimeWarning, stacklevel=2)

    def epoch(self, number, samples):
        """Return a context manager that shows one epoch."""
        title = f'epoch {number}/{self.epochs}'
        with self.failures_noted():
            if self.verbose and self._bars and getattr(sys.stdout, 'isatty', bool)():
                return Bar(title, samples, self)
        return Line(title, self)

    @contextlib.contextmanager
    def failures_noted(self):
        """Show nothing any more once the output fails: closed, full, or its reader gone."""
        try:
            yield
        except (AttributeError, OSError, ValueError) as error:
            if not from_the_system(error):
                raise
            self.verbose = False


class Line:
    """An epoch that is told in one line when it is over."""

    def __init__(self, title, progress):
        self.title = title
        self.progress = progress

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        return None

    def advance(self, samples, mean):
        pass

    def finish(self, figures, seconds):
        self.progress.say(f'{self.title}: {describe(figures)} ({seconds:.2f} s)')


class Bar(Line):
    """An epoch that is shown while it goes on."""

    def __init__(self, title, samples, progress):
        super().__init__(title, progress)
        from tqdm import tqdm  # takes 30 ms to import, which silent runs need not spend

        self.bar = tqdm(total=samples, desc=title, unit=' samples', file=sys.stdout, dynamic_ncols=True, leave=False)

    def __exit__(self, *exception):
        self._show(self.bar.close)

    def advance(self, samples, mean):
        self.bar.set_postfix_str(describe(mean.metrics()), refresh=False)
        self._show(self.bar.update, samples)

    def finish(self, figures, seconds):
        self._show(self.bar.close)
        super().finish(figures, seconds)

    def _show(self, change, *arguments):
        with self.progress.failures_noted():
            if self.progress.verbose:
                change(*arguments)
        self.bar.disable |= not self.progress.verbose  # lest it is closed at last


def describe(figures):
    return ', '.join(f'{key} {value:.4f}' for key, value in figures.items())
