"""The training loop: epochs, batches, steps."""

import math
import time
from dataclasses import dataclass

import numpy as np

from cnnx._util.generators import make_generator
from cnnx.training.array_data import ArrayData
from cnnx.training.augmented_data import AugmentedData
from cnnx.training.batch_data import BatchData
from cnnx.training.callback_list import CallbackList
from cnnx.training.divergence import DivergenceError, check_weights, diverged
from cnnx.training.evaluation import Measurement, evaluate_batches
from cnnx.training.history import History, Mean, Position
from cnnx.training.progress import Progress
from cnnx.training.resume import Every, Run
from cnnx.training.signals import Interruption, explain

VALIDATION_BATCH = 256


def learn(network, data, index, learning_rate):
    """Learn from one batch: forward, loss, backward, and a step of the optimizer.

    Args:
        network: a compiled `cnnx.Network`.
        data: an `ArrayData`.
        index: which of its samples make up the batch, (N,) int64.
        learning_rate: the size of the step.

    Returns:
        The sum of the losses, how many predictions were right, both from before the step, and how many targets count.

    Raises:
        DivergenceError: loss or gradients are NaN or infinite; the step is not taken.
    """
    plan = network.plan
    with plan.lock:
        loss, correct, count = plan.forward_and_backward(data, index)
        update = network.prepared_update(len(index))
        if not (math.isfinite(loss) and update.gradients_are_finite()):
            raise diverged(network, data, index, loss / max(count, 1), learning_rate)
        update(learning_rate)
    return loss, correct, count


@dataclass
class Loop:
    """The epochs of a run.

    Attributes, beside the arguments:
        before_step, after_step: methods to call before and after each batch.
        position: how far the run is.
        mean: the mean loss and accuracy of the epoch so far.
        batches_in_epoch: how many batches the epoch has, or None where that is not known.
        over: whether the epoch ends early: time is up, or a callback stops the run.
        saved: (epoch, batch) of the newest checkpoint of this session, or None.
        unseen: after a resume, how many epochs before this one an iterator of batches has to skip.
        began: when the run would have started without breaks, by `time.monotonic`.
    """

    network: object
    data: ArrayData | BatchData | AugmentedData
    validation: ArrayData | BatchData | None
    schedule: object
    callbacks: CallbackList
    history: History
    epochs: int
    batch_size: int
    shuffle: bool
    max_seconds: float
    progress: Progress
    run: Run | None
    every: Every | None
    interruption: Interruption

    def __post_init__(self):
        self.before_step, self.after_step = [self._stop_if_asked], []
        if self.progress.bars:
            self.after_step.append(self._show)
        if self.callbacks:
            self.before_step.append(self._call_batch_begin)
            self.after_step.append(self._call_batch_end)
        if self.max_seconds < math.inf:
            self.after_step.append(self._check_time)
        if self.every:
            self.after_step.append(self._save_if_due)

    def run_from(self, position):
        """Train from a position to the end, or until time is up or a callback ends it."""
        self.unseen, self.began = position.epoch - 1, time.monotonic() - position.seconds
        self.saved = None
        if position.seconds >= self.max_seconds:
            self.progress.say(f'the {self.max_seconds:g} seconds of max_seconds are used up: nothing to train')
        self.position = position
        try:
            self._run_from(position)
        except BaseException as error:
            self.callbacks.fail(error)
            if isinstance(error, KeyboardInterrupt):
                explain(error, self._how_to_go_on())
            raise

    def _run_from(self, position):
        self.callbacks.call('on_train_begin')
        if self.callbacks.stopped and position.epoch <= self.epochs:
            self.progress.say('a callback has stopped the run: nothing to train')
        # The time is that of the newest checkpoint, so that a resumed run ends at the same place.
        while position.epoch <= self.epochs and position.seconds < self.max_seconds and not self.callbacks.stopped:
            position = self.train_epoch(position)
        self.callbacks.call('on_train_end')

    def train_epoch(self, position):
        """Train from a position to the end of its epoch, or until the run ends; return where to continue."""
        self.callbacks.call('on_epoch_begin', position.epoch)
        unseen, epoch = self.unseen, position.epoch
        with self.progress.epoch(position.epoch, self.data.size):
            began = time.perf_counter()
            complete = self.train_batches(position)
            metrics = self.mean.metrics()
            self._check_weights()
            if self.validation is not None:
                metrics |= self.validate(unseen)
            seconds = time.perf_counter() - began
            if not complete:
                # Before schedule and callbacks see metrics of a part of an epoch: a resume completes it first.
                self._save()
            row = metrics | {'learning_rate': position.learning_rate}
            self.history.append(row)
            if line := self.schedule.observe(row):
                self.progress.note(line)
            self.callbacks.call('on_epoch_end', epoch, row)
            if complete:
                position = self.position = Position(self.history.history, position.epoch + 1, seconds=position.seconds)
                self._save()
            self.progress.finish(epoch, metrics, seconds)
        if self.interruption.signal is not None:
            self._leave()
        return position

    def train_batches(self, position):
        """Train on the batches that an epoch has left, or until time is up; return whether the epoch is complete."""
        self.position, self.over = position, False
        self.batches_in_epoch = self.data.steps(self.batch_size)
        self.mean = Mean(self.data.measures_accuracy, position.mean)
        # Where the number of batches is not known, all steps of an epoch have the learning rate of its first one.
        batches = self.batches_in_epoch or 1
        self.batches_before, self.batches_in_run = (position.epoch - 1) * batches, self.epochs * batches
        if position.batch and self.progress.bars:
            self.progress.advance(min(position.batch * self.batch_size, self.data.size or 0), self.mean)
        # NumPy need not warn of what overflows: it ends the run.
        with np.errstate(over='ignore', invalid='ignore'):
            for data, index in self._batches():
                for method in self.before_step:
                    method()
                self.step(data, index)
                for method in self.after_step:
                    method()
                if self.over:
                    return position.batch == self.batches_in_epoch
        return True

    def step(self, data, index):
        """Learn from one batch, and count it."""
        position = self.position
        position.learning_rate = self._learning_rate()
        try:
            totals = learn(self.network, data, index, position.learning_rate)
        except DivergenceError as error:
            of = f' of {self.batches_in_epoch}' if self.batches_in_epoch else ''
            raise DivergenceError(f'epoch {position.epoch}, batch {position.batch + 1}{of}: {error}') from None
        self.samples, self.sums_before = len(index), self.mean.sums
        self.mean.add(*totals)
        position.batch, position.mean = position.batch + 1, self.mean.sums

    def validate(self, unseen):
        """Return the metrics of the validation data."""
        batches = self.validation.batches(VALIDATION_BATCH, epoch=self.position.epoch, unseen=unseen)
        mean, wanted = Mean(self.validation.measures_accuracy), self.network.metrics
        measurement = Measurement(self.network, self.validation, wanted) if wanted else None
        try:
            metrics = evaluate_batches(self.network, self._awaited(batches), mean, measurement)
        except Exception:  # what fails in making a batch has been saved before already
            self._save_place()
            raise
        # Precision and the like are one number a class: their mean.
        return {f'val_{name}': float(np.mean(value)) for name, value in metrics.items()}

    def _learning_rate(self):
        """Return the learning rate of the next step."""
        done = self.batches_before + (self.position.batch if self.batches_in_epoch else 0)
        if self.max_seconds < math.inf:
            done = max(done, min(self._seconds() / self.max_seconds, 1) * self.batches_in_run)
        rate = self.schedule(done, self.batches_in_run, self.epochs)
        try:
            usable = 0 <= rate < math.inf
        except (TypeError, ValueError):  # it is no number
            usable = False
        if not usable:
            kind = type(self.schedule).__name__
            raise ValueError(
                f'step {done}: expected a finite rate of at least 0 from the schedule {kind}, got {rate!r}'
            )
        return float(rate)

    # The batches of an epoch.

    def _batches(self):
        """Return an iterator over (samples, index) for each batch that the epoch has left."""
        position, unseen = self.position, self.unseen
        self.unseen = 0
        batches = self.data.batches(self.batch_size, self._order(), position.epoch, position.batch, unseen)
        return self._awaited(batches) if self.data.size is None else batches

    def _order(self):
        """Return the order of the epoch's samples: a new one, or that of the epoch that a checkpoint lies within.

        None for batches that come as they are.
        """
        if self.data.size is None:
            return None
        position = self.position
        generator = make_generator(position.order) if position.batch else self.network.generator
        position.order = generator.bit_generator.state
        return generator.permutation(self.data.size) if self.shuffle else np.arange(self.data.size)

    def _awaited(self, batches):
        """Yield batches that the user's code makes: a signal ends the wait for one; before an error, save."""
        batches = iter(batches)
        while True:
            self._stop_if_asked()
            try:
                with self.interruption.waiting(self._save_place):
                    batch = next(batches)
            except StopIteration:
                self._stop_if_asked()  # the signal may have been what ended them
                return
            except BaseException:
                self._stop_if_asked()
                self._save_place()
                raise
            yield batch

    # Between batches.

    def _stop_if_asked(self):
        """Save, if need be, and leave, where a signal has come."""
        if self.interruption.signal is not None:
            self._save_place()
            self._leave()

    def _call_batch_begin(self):
        self.callbacks.call('on_batch_begin', self.position.batch + 1)

    def _show(self):
        if self.progress.bars:
            self.progress.advance(self.samples, self.mean)

    def _call_batch_end(self):
        self.callbacks.call('on_batch_end', self.position.batch, self.mean.metrics(since=self.sums_before))
        self.over = self.callbacks.stopped

    def _check_time(self):
        self.over = self.over or self._seconds() >= self.max_seconds

    def _save_if_due(self):
        if not self.over and self.every.due() and self.position.batch != self.batches_in_epoch:
            self._save()

    # Saving and leaving.

    def _seconds(self):
        return time.monotonic() - self.began

    def _save_place(self):
        """Save, unless it is the beginning of an epoch or saved already."""
        if self.position.batch and self.saved != (self.position.epoch, self.position.batch):
            self._save()

    def _save(self):
        position = self.position
        self._check_weights()
        if self.max_seconds < math.inf:
            position.seconds = self._seconds()
        if self.run is not None:
            position.schedule = self.schedule.state()
            self.run.save(self.network, position, self.callbacks)
            if self.every:
                self.every.saved()
        self.saved = (position.epoch, position.batch)

    def _leave(self):
        if self.run is not None:
            saved = 'there was nothing to save' if self.run.path is None else f'saved in {self.run.path}'
            self.progress.say(f'{self.interruption.signal.name}: stopped, {saved}')
        self.interruption.leave()

    def _how_to_go_on(self):
        """Return what an interrupt leaves, and how to continue."""
        way = 'to go on, call train again' if self.run is None else 'resume_from_checkpoint=True continues exactly'
        return (
            f'training stopped in epoch {self.position.epoch}, after {self.position.batch} batches; the network '
            f'keeps its weights, and in `history` the epochs before; {way}'
        )

    def _check_weights(self):
        check_weights(self.network, f'epoch {self.position.epoch}, after {self.position.batch} batches')
