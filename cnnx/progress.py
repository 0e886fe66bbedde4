"""What training shows: a line an epoch, on a terminal a bar before it, or nothing."""

import sys
import warnings


class Progress:
    """Where training reports to.

    Args:
        verbose: 0 shows nothing.
        epochs: how many there will be.
    """

    def __init__(self, verbose, epochs):
        self.verbose = bool(verbose)
        self.epochs = epochs

    def say(self, line):
        if self.verbose:
            print(line, flush=True)

    def warn(self, line):
        """Say what must not go unnoticed: as a warning, where nothing is shown."""
        if self.verbose:
            self.say(line)
        else:
            warnings.warn(line, RuntimeWarning, stacklevel=2)

    def epoch(self, number, samples):
        """Return a context manager that shows one epoch."""
        title = f'epoch {number}/{self.epochs}'
        if self.verbose and sys.stdout.isatty():
            return Bar(title, samples, self.say)
        return Line(title, self.say)


class Line:
    """An epoch that is told in one line when it is over."""

    def __init__(self, title, say):
        self.title = title
        self.say = say

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        return None

    def advance(self, samples, mean):
        pass

    def finish(self, figures, seconds):
        self.say(f'{self.title}: {describe(figures)} ({seconds:.2f} s)')


class Bar(Line):
    """An epoch that is shown while it goes on."""

    def __init__(self, title, samples, say):
        super().__init__(title, say)
        from tqdm import tqdm  # takes 30 ms to import, which silent runs need not spend

        self.bar = tqdm(total=samples, desc=title, unit=' samples', file=sys.stdout, dynamic_ncols=True, leave=False)

    def __exit__(self, *exception):
        self.bar.close()

    def advance(self, samples, mean):
        self.bar.set_postfix_str(describe(mean.figures()), refresh=False)
        self.bar.update(samples)

    def finish(self, figures, seconds):
        self.bar.close()
        super().finish(figures, seconds)


def describe(figures):
    return ', '.join(f'{key} {value:.4f}' for key, value in figures.items())
