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
from cnnx.arrays import positive, true_or_false
from cnnx.augmentation import as_augmentations, describe
from cnnx.augmented import AugmentedSource
from cnnx.callbacks import Callbacks
from cnnx.divergence import check_weights, diverged
from cnnx.geometry import positive_int
from cnnx.history import History, Mean
from cnnx.interruption import Interruption
from cnnx.metrics import Measurement
from cnnx.progress import Progress
from cnnx.runs import Every, Position, Run
from cnnx.samples import Samples, split_off
from cnnx.schedules import as_schedule
from cnnx.streams import Stream, as_source, as_validation

VALIDATION_BATCH = 256


def train(
    network,
    x,
    y=None,
    epochs=10,
    learning_rate=None,
    batch_size=32,
    *,
    sample_weight=None,
    class_weight=None,
    augment=None,
    validation_data=None,
    validation_split=None,
    shuffle=True,
    steps_per_epoch=None,
    validation_steps=None,
    callbacks=(),
    max_seconds=None,
    checkpoint_dir=None,
    checkpoint_prefix='model',
    checkpoint_every=None,
    keep=None,
    resume_from_checkpoint=False,
    verbose=1,
):
    """Fit a compiled network to samples by gradient descent, batch by batch.

    Args:
        network: a `cnnx.Network`.
        x: samples (N, ...), any real dtype; batches are converted as they come, so an array may be mapped from a
            file that is larger than memory. Or batches as `cnnx.streams.Stream` takes them.
        y: targets, as the loss takes them, read as x is; None where x gives batches.
        epochs: how often to go through all samples.
        learning_rate: the size of a step; or a schedule of `cnnx.schedules`, or a function of (step, steps): how
            many steps are done, and how many the run has; None for the optimizer's usual one, its
            `usual_learning_rate`.
        batch_size: samples to a step; the last batch of an epoch has what is left.
        sample_weight: how much each sample counts in the loss and its gradient, (N,); 1 by default. The loss is the
            sum of the weighted losses, divided by the number of samples, as in Keras.
        class_weight: how much the samples of each class count, a dict by class; others count 1.
        augment: a list of `cnnx.augmentation` objects, which change the images of each batch before it is learned
            from; x itself and what is validated with stay as they are. For networks of images (H, W, C). None
            changes nothing.
        validation_data: (x, y) or (x, y, sample_weight) to evaluate after each epoch, or batches; or None.
        validation_split: this share of the samples, the last ones, is the validation data.
        shuffle: a new random order each epoch.
        steps_per_epoch: how many batches of a stream make up an epoch; by default all, which must come to an end.
            Of an iterator, each epoch takes the next ones; of others the first ones, and never those behind.
        validation_steps: the same of validation_data.
        callbacks: a list of `cnnx.callbacks.Callback` objects.
        max_seconds: a budget of time, over all resumes. Behind the batch that uses it up, the run is evaluated and
            ends; a schedule goes on as if that share of the run were done that is done of the budget, where that is
            more. Such a run has not the same bits twice.
        checkpoint_dir: the folder for a checkpoint an epoch, made if need be; None saves none.
        checkpoint_prefix: files are named `{prefix}_epoch_{n}.npz`, those within an epoch
            `{prefix}_epoch_{n}_batch_{b}.npz`.
        checkpoint_every: when to save within epochs as well: a number of batches, or a time such as '30s',
            '5m' or a `datetime.timedelta`; None for never. Only the newest of these files stays.
        keep: how many checkpoints of epochs stay; None for all.
        resume_from_checkpoint: go on from the newest of these files, exactly as if the run that wrote it
            had not been interrupted; begin anew where there is none.
        verbose: 0 prints nothing; 1 prints a line an epoch, and on a terminal shows a progress bar before it; 2
            prints the lines alone.

    Returns:
        A `History`, over all epochs, those before a resume included.

    Raises:
        ValueError: an argument is wrong; nothing is trained then.
        CheckpointError: the checkpoint to resume from is another network's, or all are damaged.
        OSError: a checkpoint cannot be written, or another run is saving under the same names.
        DivergenceError: a loss or gradient is NaN or infinite; the weights are those from before that batch.
        KeyboardInterrupt, SystemExit: Ctrl-C, or SIGTERM (status 143) or SIGHUP (129), on the main thread; the batch
            is finished then, and saved where there is a checkpoint_dir.
    """
    network.needs_loss('train')
    epochs, batch_size = positive_int(epochs, 'epochs'), positive_int(batch_size, 'batch_size')
    if learning_rate is None:
        learning_rate = network.optimizer.usual_learning_rate
    if epochs > sys.maxsize:
        raise ValueError(f'epochs: expected at most {sys.maxsize}')
    resume_from_checkpoint = true_or_false(
        resume_from_checkpoint, 'resume_from_checkpoint (the folder is the checkpoint_dir)'
    )
    shuffle = true_or_false(shuffle, 'shuffle')
    schedule, every, callbacks = as_schedule(learning_rate), Every(checkpoint_every), Callbacks(callbacks)
    max_seconds = math.inf if max_seconds is None else positive(max_seconds, 'max_seconds')
    source = as_source(network, x, y, sample_weight, steps_per_epoch, epochs)
    source, validation = _with_validation(network, source, validation_data, validation_split, validation_steps, epochs)
    if class_weight is not None:
        source.weigh_classes(class_weight, network)
    augment = as_augmentations(augment)
    if augment:
        source = AugmentedSource(source, augment, network)
    if not (network.trainable_parameters or callbacks):  # which may set layers free
        raise ValueError('train: no layer learns: set layer.trainable, or add one with parameters')
    names = _figure_names(source, validation)
    schedule.check(epochs, names)
    schedule.restore({})
    progress, history = Progress(verbose, epochs), History()
    callbacks.begin(network, history, names)
    settings = {
        'epochs': epochs,
        'samples': source.size,
        'batches': source.steps(batch_size),
        'batch_size': batch_size,
        'shuffle': shuffle,
        'steps_per_epoch': steps_per_epoch,
        'augment': describe(augment),
        'max_seconds': None if max_seconds == math.inf else max_seconds,
    }
    settings = {**settings, **_other_settings(network, schedule), **settings}
    run = _new_run(checkpoint_dir, checkpoint_prefix, settings, checkpoint_every, keep, resume_from_checkpoint)
    with run or contextlib.nullcontext(), Interruption() as interruption:
        position = Position()
        if resume_from_checkpoint:
            position = run.resume(network, schedule, callbacks, progress)
        elif run is not None:
            position = run.begin(network, schedule, callbacks)
        if position.epoch > epochs:
            progress.say(f'{position.epoch - 1} epochs are done already, {epochs} were asked for: nothing to train')
        history.history = position.history
        parts = (network, source, validation, schedule, callbacks, history)
        loop = _Loop(*parts, epochs, batch_size, shuffle, max_seconds, progress, run, every, interruption)
        loop.run_from(position)
    return history


@dataclass
class _Loop:
    """What the epochs of a run share."""

    network: object
    source: Samples | Stream | AugmentedSource
    validation: Samples | Stream | None
    schedule: object
    callbacks: Callbacks
    history: History
    epochs: int
    batch_size: int
    shuffle: bool
    max_seconds: float
    progress: Progress
    run: Run | None
    every: Every
    interruption: Interruption

    def run_from(self, position):
        """Train from a position to the end, or until time is up or a callback ends it."""
        # Of how many epochs a stream has not given its batches, and when the seconds of the position were 0.
        self._unseen, self._began = position.epoch - 1, time.monotonic() - position.seconds
        self.callbacks.call('on_train_begin')
        # What a checkpoint says of the time is what counts, so that a resume comes to the same end.
        while position.epoch <= self.epochs and position.seconds < self.max_seconds and not self.callbacks.stopped:
            position = self._train_epoch(position)
        self.callbacks.call('on_train_end')

    def _is_over(self):
        return self.callbacks.stopped or (self.max_seconds < math.inf and self._seconds() >= self.max_seconds)

    def _seconds(self):
        return time.monotonic() - self._began

    def _train_epoch(self, position):
        """Go through an epoch from a position to its end, or as far as it comes, and return where to go on."""
        self.callbacks.call('on_epoch_begin', position.epoch)
        unseen = self._unseen
        with self.progress.epoch(position.epoch, self.source.size) as shown:
            began = time.perf_counter()
            figures, whole = self._train_batches(position, shown)
            self._check_weights(position)
            if self.validation is not None:
                figures |= self._validate(position, unseen)
            seconds = time.perf_counter() - began
            if not whole:
                # What the schedule and callbacks learn from part of an epoch is not what a resume goes on with.
                self._save(position)
            epoch, after = position.epoch, position
            self.history.append(figures)
            self.schedule.observe(figures)
            self.callbacks.call('on_epoch_end', epoch, figures)
            if whole:
                after = Position(self.history.history, epoch + 1, schedule=self.schedule.state())
                after.seconds = position.seconds
                self._save(after)
            shown.finish(figures, seconds)
        if self.interruption.signal is not None:
            self._leave()
        return after

    def _validate(self, position, unseen):
        """Return the figures of the validation data; what fails there does not cost the epoch."""
        batches = self.validation.batches(VALIDATION_BATCH, epoch=position.epoch, unseen=unseen)
        try:
            mean = Mean(self.validation.measures_accuracy)
            results = _evaluate(self.network, self._awaited(batches, position), mean)
        except Exception:
            self._save(position)
            raise
        return {f'val_{key}': value for key, value in results.items()}

    def _train_batches(self, position, shown):
        """Train what is left of an epoch, or as much as there is time for, and move the position along.

        Returns:
            The epoch's figures, and whether it is whole.
        """
        network, plan, steps = self.network, self.network.plan, self.source.steps(self.batch_size)
        order = self._order(position)
        mean = Mean(self.source.measures_accuracy, position.mean)
        work = 3 * min(self.source.size or self.batch_size, self.batch_size) * network.multiply_adds
        update = network.optimizer.prepare(network.trainable_parameters, work)
        if position.batch:
            shown.advance(mean.sums[2], mean)
        batches = self.source.batches(self.batch_size, order, position.epoch, position.batch, self._unseen)
        self._unseen = 0
        if self.source.size is None:
            batches = self._awaited(batches, position)
        # A step on one image takes less than 30 us: what is not there is not called.
        called, budgeted = bool(self.callbacks), self.max_seconds < math.inf
        # NumPy need not warn of what overflows: it ends the run.
        with np.errstate(over='ignore', invalid='ignore'):
            for batch, (samples, index) in enumerate(batches, position.batch):
                self._stop_if_asked(position)
                if called:
                    self.callbacks.call('on_batch_begin', batch + 1)
                    if not update.is_of(network.trainable_parameters):  # a callback froze a layer, or set one free
                        plan, update = network.plan, network.optimizer.prepare(network.trainable_parameters, work)
                before = mean.sums
                rate = self._rate(position, batch, steps)
                with plan.lock:
                    loss, correct = plan.learn(samples, index)
                    if not (math.isfinite(loss) and update.gradients_are_finite()):
                        where = f'epoch {position.epoch}, batch {batch + 1}' + (f' of {steps}' if steps else '')
                        raise diverged(network, samples, index, loss, where, rate)
                    update(rate)
                mean.add(len(index), loss, correct)
                position.batch, position.mean = batch + 1, mean.sums
                shown.advance(len(index), mean)
                if called:
                    self.callbacks.call('on_batch_end', batch + 1, mean.figures(since=before))
                if (called or budgeted) and self._is_over():
                    return mean.figures(), position.batch == steps
                if self.every.due() and position.batch != steps:
                    self._save(position)
        return mean.figures(), True

    def _rate(self, position, batch, steps):
        """Return the learning rate of a step; where a stream does not tell its length, that of its epoch's first."""
        done = position.epoch - 1 if steps is None else (position.epoch - 1) * steps + batch
        total = self.epochs * (steps or 1)
        if self.max_seconds < math.inf:
            done = max(done, min(self._seconds() / self.max_seconds, 1) * total)
        rate = self.schedule(done, total, self.epochs)
        try:
            usable = 0 <= rate < math.inf
        except (TypeError, ValueError):  # it is no number
            usable = False
        if not usable:
            name = type(self.schedule).__name__
            raise ValueError(
                f'step {done}: expected a finite rate of at least 0 from the schedule {name}, got {rate!r}'
            )
        return rate

    def _order(self, position):
        """Return the order of an epoch's samples: a new one, or that of the epoch that a checkpoint lies within.

        None for a stream, which has its own.
        """
        if self.source.size is None:
            return None
        generator = make_generator(position.order) if position.batch else self.network.generator
        position.order = generator.bit_generator.state
        return generator.permutation(self.source.size) if self.shuffle else np.arange(self.source.size)

    def _awaited(self, batches, position):
        """Yield batches. A signal ends the wait for one, and so may what it does to the processes that make them."""
        batches = iter(batches)
        while True:
            self._stop_if_asked(position)
            try:
                with self.interruption.waiting():
                    batch = next(batches)
            except StopIteration:
                return
            except BaseException:
                self._stop_if_asked(position)
                raise
            yield batch

    def _stop_if_asked(self, position):
        """Save, if need be, and leave, where a signal has come."""
        if self.interruption.signal is None:
            return
        if position.batch:
            self._save(position)
        self._leave()

    def _leave(self):
        if self.run is not None:
            saved = 'there was nothing to save' if self.run.path is None else f'saved in {self.run.path}'
            self.progress.say(f'{self.interruption.signal.name}: stopped, {saved}')
        self.interruption.leave()

    def _check_weights(self, position):
        check_weights(self.network, f'epoch {position.epoch}, after {position.batch} batches')

    def _save(self, position):
        self._check_weights(position)
        if self.max_seconds < math.inf:
            position.seconds = self._seconds()
        if self.run is not None:
            self.run.save(self.network, position, self.callbacks)
            self.every.saved()


def evaluate(network, x, y=None, batch_size=256, *, sample_weight=None, metrics=None, steps=None):
    """Return {'loss': ..., 'accuracy': ...} over samples, and metrics by their names.

    Args:
        network: a compiled `cnnx.Network`.
        x, y, sample_weight: as `train` takes them.
        batch_size: samples to a pass.
        metrics: names or objects of `cnnx.metrics`, such as ['precision', 'top_3']; None for none.
        steps: how many batches of a stream to take; by default all, which must come to an end.

    Returns:
        A dict; 'accuracy' is missing where the loss has none.

    Raises:
        ValueError: there are no samples, x and y do not fit the network or each other, or a metric is unknown or
            does not fit the targets; nothing is computed then.
    """
    network.needs_loss('evaluate')
    source = as_source(network, x, y, sample_weight, steps, steps_name='steps')
    measurement = None if metrics is None else Measurement(network, source, metrics)
    batches = source.batches(positive_int(batch_size, 'batch_size'))
    return _evaluate(network, batches, Mean(source.measures_accuracy), measurement)


def _evaluate(network, batches, mean, measurement=None):
    plan = network.plan
    for samples, index in batches:
        with plan.lock:
            loss, correct = plan.assess(samples, index)
        mean.add(len(index), loss, correct)
        if measurement is not None:
            measurement.update(samples, index)
    return mean.figures() | (measurement.results() if measurement else {})


def _new_run(folder, prefix, settings, checkpoint_every, keep, resume):
    """Return the `Run` that saves, or None for no folder; raise a ValueError where that leaves settings without use."""
    if folder is not None:
        return Run(folder, prefix, settings, keep)
    if resume:
        raise ValueError('resume_from_checkpoint: give the checkpoint_dir to resume from')
    if checkpoint_every is not None or keep is not None:
        raise ValueError('checkpoint_every and keep: give the checkpoint_dir to save into')
    return None


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


def _figure_names(source, validation):
    """Return what an epoch's figures are called."""
    sources = [('', source)] + ([] if validation is None else [('val_', validation)])
    return [f'{prefix}{name}' for prefix, them in sources for name in Mean(them.measures_accuracy, [0, 0, 1]).figures()]


def _with_validation(network, source, data, fraction, steps, epochs):
    """Return what is trained on, and what is validated with or None."""
    if data is not None and fraction is None:
        return source, as_validation(network, data, steps, epochs)
    if steps is not None:
        raise ValueError('validation_steps: goes with batches as validation_data')
    if fraction is None:
        return source, None
    if data is not None or isinstance(source, Stream):
        raise ValueError('validation_split: goes with arrays x and y, and without validation_data')
    return split_off(source, fraction)
