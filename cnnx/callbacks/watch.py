"""Watch: a page that shows a run in a browser while it goes on, and is its report in the end."""

import math
import os
import platform
import shlex
import sys
import time
import warnings
from pathlib import Path

import numpy as np

from cnnx import kernels
from cnnx._util.validation import path_of_file, positive
from cnnx._version import __version__
from cnnx.callbacks.base import Callback, absolute_path
from cnnx.callbacks.examined import Examined
from cnnx.callbacks.run_page.page import RunView, as_page
from cnnx.callbacks.running_curve import RunningCurve
from cnnx.checkpoint import write_whole

PICTURES = 20
MISTAKES = 20
# A page takes at most this fraction of the time of the run; the first and the last are always written.
MOST_OF_THE_TIME = 0.01


class Watch(Callback):
    """Write an HTML page about the run, again and again, for a browser, which loads it again by itself.

    The page has the loss and the metrics of each epoch, the loss within epochs, the learning rate, some samples of the
    validation data with what the network predicts for them, and the time left. In the end it is the report of the
    run: it has the confusion matrix of the validation data and the most confident errors, too. All is in one file,
    which needs no network. Settings, versions and the command that started the run are in it.

    The samples are shown where the validation data are arrays of images, (N, H, W, 1) or (N, H, W, 3), and the network
    has one class or one number a sample. Where the page cannot be written, the run goes on, after a warning.

    Give it as the last callback: in the end it shows the network as the others left it.

    Args:
        path: the file.
        every: the page is rewritten after so many seconds at the earliest; less often where writing would take more
            than a hundredth of the time of the run.

    Raises:
        ValueError: an argument is none of these, or, when a run begins, no file can be at that path.
    """

    def __init__(self, path='run.html', every=2.0):
        self.path = path_of_file(path)
        self.every = positive(every, 'every')

    def check(self, metrics):
        self._file = absolute_path(self.path)
        self._examined, self._pictures = Examined(self.network, self._run.validation, PICTURES), []

    def state(self):
        return {'seconds': self._seconds(), **self._curve.state()}

    def arrays(self):
        return self._curve.arrays()

    def restore(self, state, arrays):
        self._curve = RunningCurve(state, arrays)
        self._since = time.monotonic()
        self._began = self._since - state.get('seconds', 0.0)
        self._fraction_before = None
        self._epoch, self._batch = 0, 0
        self._warned = False

    def on_train_begin(self):
        self._since = time.monotonic()
        self._epoch = len(self.history.get('loss', ()))
        self._write('running')
        self.say(f'Watch: {self.path} shows the run; open it in a browser')

    def on_epoch_begin(self, epoch):
        self._epoch, self._batch = epoch, 0

    def on_batch_begin(self, batch):
        if self._fraction_before is None:  # the first one of this session
            self._batch = batch - 1
            self._fraction_before = self._fraction()

    def on_batch_end(self, batch, metrics):
        self._batch = batch
        self._curve.add(metrics['loss'])
        if time.monotonic() >= self._due:
            self._write('running')

    def on_epoch_end(self, epoch, metrics):
        if time.monotonic() >= self._due:
            self._write('running')

    def on_train_end(self):
        self._write('finished')

    def on_train_error(self, error):
        self._write('stopped', reason_of(error))

    def _write(self, state, reason=''):
        """Write the page; where that fails, warn, the first time."""
        began = time.monotonic()
        try:
            write_whole(self._file, as_page(self._view(state, reason)).encode('utf-8', 'backslashreplace'))
            self._warned = False
        except OSError as error:
            if not self._warned:
                self._warned = True
                warnings.warn(f'Watch: the page is not written, the run goes on: {error}', RuntimeWarning, stacklevel=2)
        now = time.monotonic()
        self._due = now + max(self.every, (now - began) / MOST_OF_THE_TIME)

    def _view(self, state, reason):
        if state != 'stopped':  # by what may have left nothing to predict with
            self._pictures = self._examined.pictures()
        return RunView(
            name=Path(self._file).stem,
            network=repr(self.network).strip('<>'),
            state=state,
            reason=reason,
            epoch=min(self._epoch, self._run.epochs),
            epochs=self._run.epochs,
            batch=self._batch,
            batches_in_epoch=self._run.batches,
            fraction=self._fraction(),
            seconds=self._seconds(),
            left=self._left() if state == 'running' else None,
            reload=self.every,
            written=time.time(),
            history=self.history.history,
            batches=self._curve.points,
            batches_to_point=self._curve.width,
            pictures=self._pictures,
            comparison=self._examined.compare(MISTAKES) if state == 'finished' else None,
            comparison_missing=self._why_no_comparison(state),
            layers=self.network._repr_html_(),
            about={'Settings': self._settings(), 'Versions': versions()},
            command=command(),
        )

    def _why_no_comparison(self, state):
        validation = self._run.validation
        if state == 'stopped':
            return 'The run did not get to its end.'
        if validation is None:
            return 'The run has no validation data.'
        if validation.size is None:
            return 'The validation data come as batches; only arrays are looked at.'
        return 'Samples have no class, or more than one.' if self._examined.labels is None else ''

    def _settings(self):
        try:
            settings = self._run.settings()
        except TypeError as error:  # the user's own schedule or augmentation does not say what it was made with
            return {'not known': str(error)}
        return {name: value for name, value in settings.items() if name not in ('cnnx', 'numpy', 'backend', 'tier')}

    def _seconds(self):
        return time.monotonic() - self._began

    def _fraction(self):
        """Return how much of the run is done, from 0 to 1; of an epoch whose batches are not known, all or nothing."""
        run, done = self._run, len(self.history.get('loss', ()))
        if done < self._epoch and run.batches:
            done += self._batch / run.batches
        return min(done / run.epochs, 1.0)

    def _left(self):
        """Return how many seconds are left at the speed of this session; None where there is no speed yet."""
        fraction, before = self._fraction(), self._fraction_before
        seconds = math.inf
        if before is not None and fraction > before:
            seconds = (time.monotonic() - self._since) / (fraction - before) * (1 - fraction)
        seconds = min(seconds, max(self._run.max_seconds - self._seconds(), 0.0))
        return seconds if seconds < math.inf else None


def reason_of(error):
    """Return in words what ended a run."""
    if isinstance(error, KeyboardInterrupt):
        return 'Ctrl-C stopped it.'
    if isinstance(error, SystemExit):
        return f'A signal, or a call of exit, stopped it (status {error.code}).'
    return f'{type(error).__name__}: {error}'


def versions():
    """Return what the run is computed with, by name."""
    backend = kernels.current()
    return {
        'cnnx': __version__,
        'kernels': f'{backend.name} {backend.tier or ""}'.strip(),
        'threads': kernels.num_threads(),
        'Python': platform.python_version(),
        'NumPy': np.__version__,
        'system': platform.platform(),
        'processors': os.cpu_count(),
    }


def command():
    """Return the command that started this process, or '' in a notebook, which is started by others."""
    return '' if 'ipykernel' in sys.modules else shlex.join(sys.orig_argv)
