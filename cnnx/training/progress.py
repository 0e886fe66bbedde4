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
        """Say something important: as a warning, where nothing is shown."""
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
        """A context after which nothing is shown if the output fails in it: closed, full, or its reader gone."""
        try:
            yield
        except (AttributeError, OSError, ValueError):
            self.verbose = False


class Line:
    """An epoch that is reported in one line when it is over."""

    def __init__(self, title, progress):
        self.title = title
        self.progress = progress

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        return None

    def advance(self, samples, mean):
        pass

    def finish(self, metrics, seconds):
        self.progress.say(f'{self.title}: {describe(metrics)} ({seconds:.2f} s)')


class Bar(Line):
    """An epoch that is shown as a progress bar while it goes on."""

    def __init__(self, title, samples, progress):
        super().__init__(title, progress)
        from tqdm import tqdm  # takes 30 ms to import, which silent runs need not spend

        self.bar = tqdm(total=samples, desc=title, unit=' samples', file=sys.stdout, dynamic_ncols=True, leave=False)

    def __exit__(self, *exception):
        self._show(self.bar.close)

    def advance(self, samples, mean):
        self.bar.set_postfix_str(describe(mean.metrics()), refresh=False)
        self._show(self.bar.update, samples)

    def finish(self, metrics, seconds):
        self._show(self.bar.close)
        super().finish(metrics, seconds)

    def _show(self, change, *arguments):
        with self.progress.failures_noted():
            if self.progress.verbose:
                change(*arguments)
        self.bar.disable |= not self.progress.verbose  # or closing it would print again


def describe(metrics):
    return ', '.join(f'{key} {value:.4f}' for key, value in metrics.items())
