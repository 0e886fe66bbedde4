"""The training loop: epochs, batches, what is printed and when it is saved. The network is handed in."""

import contextlib
import math
import sys
import time
from dataclasses import dataclass

import numpy as np

from cnnx import kernels
from cnnx._version import __version__
from cnnx.architecture import make_generator
from cnnx.arrays import as_kernels_read
from cnnx.divergence import check_weights, diverged
from cnnx.geometry import positive_int
from cnnx.interruption import Interruption
from cnnx.metrics import Measurement
from cnnx.progress import Progress
from cnnx.runs import Every, Position, Run
from cnnx.schedules import as_schedule


class History:
    """What each epoch came to.

    Attributes:
        history: lists of floats, one an epoch: 'loss' and 'accuracy' of training, averaged while the weights
            change, and 'val_loss' and 'val_accuracy' after the epoch where there is validation data.
            'accuracy' is missing for losses that have none.

    `history['loss']` is short for `history.history['loss']`.
    """

    def __init__(self, history=None):
        self.history = {} if history is None else history

    def __getitem__(self, key):
        return self.history[key]

    def __repr__(self):
        return f'History({self.history!r})'

    def append(self, figures):
        """Add an epoch's figures; NaN stands for what other epochs have and this one has not."""
        done = max(map(len, self.history.values()), default=0)
        for key in {**self.history, **figures}:
            self.history.setdefault(key, [math.nan] * done).append(figures.get(key, math.nan))


class Samples:
    """x and y, checked against a network, and read a batch at a time; errors begin with `prefix`.

    Attributes:
        weights: how much each sample counts in the loss, (N,), or None where all count 1.
    """

    def __init__(self, network, x, y, weights=None, prefix=''):
        self.x = network.check_samples(x, f'{prefix}x')
        self.dtype = network.dtype
        self.targets = network.loss.prepare(y, network.layers[-1].output_shape, network.dtype, f'{prefix}y')
        self.measures_accuracy = network.loss.measures_accuracy(self.targets)
        if len(self.x) != len(self.targets):
            raise ValueError(f'{prefix}expected as many samples as targets, got {len(self.x)} and {len(self.targets)}')
        if len(self.x) == 0:
            raise ValueError(f'{prefix}expected at least one sample, got none')
        self.weights = weights

    def __len__(self):
        return len(self.x)

    @property
    def direct(self):
        """Whether kernels can read x as it is."""
        return self.x.dtype == self.dtype and self.x.dtype.isnative and self.x.flags.c_contiguous

    @property
    def arrays(self):
        """(x, targets), and weights where there are some."""
        return (self.x, self.targets) if self.weights is None else (self.x, self.targets, self.weights)

    def batch(self, index):
        """Return the `arrays` of some samples, x as kernels take it."""
        x, *others = (array[index] for array in self.arrays)
        return as_kernels_read(x, self.dtype), *others


class Mean:
    """The mean loss and accuracy of samples that come in batches, each counting with its own size.

    Args:
        measures_accuracy: whether there is one.
        sums: of the losses, of what was right, of the samples: to go on from.
    """

    def __init__(self, measures_accuracy, sums=None):
        self.measures_accuracy = measures_accuracy
        self.sums = sums or [0.0, 0, 0]

    def add(self, count, loss, correct):
        """Count a batch in: its size, the sum of its losses, and how many it has right."""
        total_loss, total_correct, total_count = self.sums
        self.sums = [total_loss + loss, total_correct + correct, total_count + count]

    def figures(self):
        loss, correct, count = self.sums
        figures = {'loss': loss / count}
        if self.measures_accuracy:
            figures['accuracy'] = correct / count
        return figures


def train(
    network,
    x,
    y,
    *,
    epochs,
    learning_rate,
    batch_size,
    checkpoint_dir,
    checkpoint_prefix,
    checkpoint_every,
    keep,
    resume_from_checkpoint,
    validation_data,
    shuffle,
    verbose,
):
    """Fit a compiled network to samples by gradient descent, batch by batch.

    Args:
        network: a `cnnx.Network`.
        x: samples (N, ...), any real dtype; batches are converted as they come.
        y: targets, as the loss takes them.
        epochs: how often to go through all samples.
        learning_rate: the size of a step; or a schedule of `cnnx.schedules`, or a function of (step, steps): how
            many steps are done, and how many the run has; None for the optimizer's usual one, its
            `usual_learning_rate`.
        batch_size: samples to a step; the last batch of an epoch has what is left.
        checkpoint_dir: the folder for a checkpoint an epoch, made if need be; None saves none.
        checkpoint_prefix: files are named `{prefix}_epoch_{n}.npz`, those within an epoch
            `{prefix}_epoch_{n}_batch_{b}.npz`.
        checkpoint_every: when to save within epochs as well: a number of batches, or a time such as '30s',
            '5m' or a `datetime.timedelta`; None for never. Only the newest of these files stays.
        keep: how many checkpoints of epochs stay; None for all.
        resume_from_checkpoint: go on from the newest of these files, exactly as if the run that wrote it
            had not been interrupted; begin anew where there is none.
        validation_data: (x, y) to evaluate after each epoch, or None.
        shuffle: a new random order each epoch.
        verbose: 0 prints nothing; 1 prints a line an epoch, and on a terminal shows a progress bar before it.

    Returns:
        A `History`, over all epochs, those before a resume included.

    Raises:
        ValueError: an argument is wrong; nothing is trained then.
        CheckpointError: the checkpoint to resume from is another network's, or all are damaged.
        OSError: a checkpoint cannot be written, or another run is saving under the same names.
        DivergenceError: a loss or gradient is NaN or infinite; the weights are those from before that batch.
        KeyboardInterrupt, SystemExit: Ctrl-C, or SIGTERM (status 143), on the main thread; the batch is
            finished then, and saved where there is a checkpoint_dir.
    """
    epochs, batch_size = positive_int(epochs, 'epochs'), positive_int(batch_size, 'batch_size')
    if learning_rate is None:
        learning_rate = network.optimizer.usual_learning_rate
    if epochs > sys.maxsize:
        raise ValueError(f'epochs: expected at most {sys.maxsize}')
    if not isinstance(resume_from_checkpoint, (bool, np.bool_)):
        raise ValueError(
            f'resume_from_checkpoint: expected True or False, got {resume_from_checkpoint!r}; '
            'the folder to resume from is the checkpoint_dir'
        )
    schedule, every = as_schedule(learning_rate), Every(checkpoint_every)
    samples = Samples(network, x, y)
    validation = None if validation_data is None else _validation_samples(network, validation_data)
    schedule.check(epochs, _figure_names(samples, validation))
    schedule.restore({})
    progress = Progress(verbose, epochs)
    run = None
    if checkpoint_dir is not None:
        settings = {'epochs': epochs, 'samples': len(samples), 'batch_size': batch_size, 'shuffle': bool(shuffle)}
        run = Run(checkpoint_dir, checkpoint_prefix, settings | _other_settings(network, schedule), keep)
    elif resume_from_checkpoint:
        raise ValueError('resume_from_checkpoint: give the checkpoint_dir to resume from')
    elif checkpoint_every is not None or keep is not None:
        raise ValueError('checkpoint_every and keep: give the checkpoint_dir to save into')
    with run or contextlib.nullcontext(), Interruption() as interruption:
        position = Position()
        if resume_from_checkpoint:
            position = run.resume(network, schedule, progress)
        elif run is not None:
            position = run.begin(network)
        if position.epoch > epochs:
            progress.say(f'{position.epoch - 1} epochs are done already, {epochs} were asked for: nothing to train')
        loop = _Loop(network, samples, validation, schedule, batch_size, shuffle, progress, run, every, interruption)
        while position.epoch <= epochs:
            position = loop.train_epoch(position)
    return History(position.history)


@dataclass
class _Loop:
    """What the epochs of a run share."""

    network: object
    samples: Samples
    validation: Samples | None
    schedule: object
    batch_size: int
    shuffle: bool
    progress: Progress
    run: Run | None
    every: Every
    interruption: Interruption

    def train_epoch(self, position):
        """Go through an epoch from a position to its end, save, and return the position behind it."""
        with self.progress.epoch(position.epoch, len(self.samples)) as shown:
            began = time.perf_counter()
            figures = self._train_batches(position, shown)
            if self.validation is not None:
                results = _evaluate(self.network, self.validation, 256, lambda: self._stop_if_asked(position))
                figures |= {f'val_{key}': value for key, value in results.items()}
            seconds = time.perf_counter() - began
            history = History(position.history)
            history.append(figures)
            self.schedule.observe(figures)
            after = Position(history.history, position.epoch + 1, schedule=self.schedule.state())
            self._save(after)
            shown.finish(figures, seconds)
        self._stop_if_asked(after)
        return after

    def _train_batches(self, position, shown):
        """Train what is left of an epoch, move the position along, and return the epoch's figures."""
        network, samples = self.network, self.samples
        order = self._order(position)
        plan, batches = network.plan, -(-len(samples) // self.batch_size)
        mean = Mean(samples.measures_accuracy, position.mean)
        work = 3 * min(len(samples), self.batch_size) * sum(layer.multiply_adds for layer in network.layers)
        update = network.optimizer.prepare(network.trainable_parameters, work)
        if position.batch:
            shown.advance(min(position.batch * self.batch_size, len(samples)), mean)
        # NumPy need not warn of what overflows: it ends the run.
        with np.errstate(over='ignore', invalid='ignore'):
            for batch in range(position.batch, batches):
                self._stop_if_asked(position)
                index = order[batch * self.batch_size : (batch + 1) * self.batch_size]
                rate = self._rate((position.epoch - 1) * batches + batch, self.progress.epochs * batches)
                with plan.lock:
                    loss, correct = plan.learn(samples, index)
                    if not (math.isfinite(loss) and update.gradients_are_finite()):
                        where = f'epoch {position.epoch}, batch {batch + 1} of {batches}'
                        raise diverged(network, samples, index, loss, where, rate)
                    update(rate)
                mean.add(len(index), loss, correct)
                position.batch, position.mean = batch + 1, mean.sums
                shown.advance(len(index), mean)
                if self.every.due() and position.batch < batches:
                    self._save(position)
        return mean.figures()

    def _rate(self, step, steps):
        """Return a step's learning rate, or raise a ValueError if the schedule gives none."""
        rate = self.schedule(step, steps, self.progress.epochs)
        if not 0 <= rate < math.inf:
            name = type(self.schedule).__name__
            raise ValueError(
                f'step {step}: expected a finite rate of at least 0 from the schedule {name}, got {rate!r}'
            )
        return rate

    def _order(self, position):
        """Return the order of an epoch's samples: a new one, or that of the epoch that a checkpoint lies within."""
        generator = make_generator(position.order) if position.batch else self.network.generator
        position.order = generator.bit_generator.state
        return generator.permutation(len(self.samples)) if self.shuffle else np.arange(len(self.samples))

    def _stop_if_asked(self, position):
        """Save, if need be, and leave, where a signal has come."""
        if self.interruption.signal is None:
            return
        if self.run is not None:
            if position.batch:
                self._save(position)
            saved = 'there was nothing to save' if self.run.path is None else f'saved in {self.run.path}'
            self.progress.say(f'{self.interruption.signal.name}: stopped, {saved}')
        self.interruption.leave()

    def _save(self, position):
        check_weights(self.network, f'epoch {position.epoch}, after {position.batch} batches')
        if self.run is not None:
            self.run.save(self.network, position)
            self.every.saved()


def evaluate(network, x, y, *, batch_size, metrics=None):
    """Return the mean loss, accuracy where the loss has one, and metrics by their names, over samples."""
    samples, batch_size = Samples(network, x, y), positive_int(batch_size, 'batch_size')
    measurement = None if metrics is None else Measurement(network, samples, metrics)
    figures = _evaluate(network, samples, batch_size)
    return figures if measurement is None else figures | measurement.run(batch_size)


def _other_settings(network, schedule):
    """Return what, beside data and batches, a run's bits depend on."""
    backend = kernels.current()
    return {
        'schedule': type(schedule).__name__,
        **schedule.settings(),
        **network.optimizer.settings(),
        'backend': backend.name,
        'tier': backend.tier,
        'cnnx': __version__,
    }


def _figure_names(samples, validation):
    """Return what an epoch's figures are called."""
    sources = [('', samples)] + ([] if validation is None else [('val_', validation)])
    return [f'{prefix}{name}' for prefix, them in sources for name in Mean(them.measures_accuracy, [0, 0, 1]).figures()]


def _evaluate(network, samples, batch_size, before_batch=lambda: None):
    mean = Mean(samples.measures_accuracy)
    plan = network.plan
    for first in range(0, len(samples), batch_size):
        before_batch()
        index = np.arange(first, min(first + batch_size, len(samples)), dtype=np.int64)
        with plan.lock:
            loss, correct = plan.assess(samples, index)
        mean.add(len(index), loss, correct)
    return mean.figures()


def _validation_samples(network, data):
    if not isinstance(data, (tuple, list)) or len(data) != 2:
        raise ValueError(f'validation_data: expected a pair (x, y), got {type(data).__name__}')
    return Samples(network, *data, prefix='validation_data: ')
