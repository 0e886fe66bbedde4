"""The training loop: epochs and batches, and what happens between them."""

import math
import time
from dataclasses import dataclass

import numpy as np

from cnnx._util.generators import make_generator
from cnnx.callbacks import Callbacks
from cnnx.training.array_data import ArrayData
from cnnx.training.augmented_data import AugmentedData
from cnnx.training.batch_data import BatchData
from cnnx.training.divergence import check_weights, diverged
from cnnx.training.evaluation import evaluate_batches
from cnnx.training.history import History, Mean
from cnnx.training.progress import Progress
from cnnx.training.resume import Every, Position, Run
from cnnx.training.signals import Interruption

VALIDATION_BATCH = 256


@dataclass
class Loop:
    """What the epochs of a run share."""

    network: object
    source: ArrayData | BatchData | AugmentedData
    validation: ArrayData | BatchData | None
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
        self._saved = None
        if position.seconds >= self.max_seconds:
            self.progress.say(f'the {self.max_seconds:g} seconds of max_seconds are used up: nothing to train')
        self.callbacks.call('on_train_begin')
        if self.callbacks.stopped and position.epoch <= self.epochs:
            self.progress.say('a callback has stopped the run: nothing to train')
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
            took = time.perf_counter() - began
            if not whole:
                # What the schedule and callbacks learn from part of an epoch is not what a resume goes on with.
                self._save(position)
            epoch, after = position.epoch, position
            self.history.append(figures)
            self.schedule.observe(figures)
            self.callbacks.call('on_epoch_end', epoch, figures)
            if whole:
                after = Position(self.history.history, epoch + 1, seconds=position.seconds)
                self._save(after)
            shown.finish(figures, took)
        if self.interruption.signal is not None:
            self._leave()
        return after

    def _validate(self, position, unseen):
        """Return the figures of the validation data."""
        batches = self.validation.batches(VALIDATION_BATCH, epoch=position.epoch, unseen=unseen)
        mean = Mean(self.validation.measures_accuracy)
        try:
            results = evaluate_batches(self.network, self._awaited(batches, position), mean)
        except Exception:  # what fails in making a batch has been saved before already
            self._save_place(position)
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
        # The learning rate of a stream that does not tell its length is that of its epoch's first step.
        begun, total = (position.epoch - 1) * (steps or 1), self.epochs * (steps or 1)
        work = 3 * min(self.source.size or self.batch_size, self.batch_size) * network.multiply_adds
        update = network.optimizer.prepare(network.trainable_parameters, work)
        if position.batch:
            shown.advance(mean.sums[2], mean)
        batches = self.source.batches(self.batch_size, order, position.epoch, position.batch, self._unseen)
        self._unseen = 0
        if self.source.size is None:
            batches = self._awaited(batches, position)
        # A step on one image takes less than 30 us: what is not there is not called.
        called, budgeted, saves = bool(self.callbacks), self.max_seconds < math.inf, bool(self.every)
        watched = called or self.source.size is None
        interruption = self.interruption
        # NumPy need not warn of what overflows: it ends the run.
        with np.errstate(over='ignore', invalid='ignore'):
            for batch, (samples, index) in enumerate(batches, position.batch):
                if interruption.signal is not None:
                    self._stop(position)
                if called:
                    self.callbacks.call('on_batch_begin', batch + 1)
                if watched:  # the user's code may have frozen something, or compiled anew
                    plan, parameters = network.plan, network.trainable_parameters
                    if not update.is_of(network.optimizer, parameters):
                        update = network.optimizer.prepare(parameters, work)
                before = mean.sums
                rate = self._rate(begun + batch if steps else begun, total)
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
                if saves and self.every.due() and position.batch != steps:
                    self._save(position)
        return mean.figures(), True

    def _rate(self, done, total):
        """Return the learning rate of a step by how many of how many steps are done."""
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
        """Yield batches. What fails as one is made costs no other; a signal ends the wait for one."""
        batches = iter(batches)
        while True:
            self._stop_if_asked(position)
            try:
                with self.interruption.waiting(lambda: self._save_place(position)):
                    batch = next(batches)
            except StopIteration:
                self._stop_if_asked(position)  # the signal may have been what ended them
                return
            except BaseException:
                self._stop_if_asked(position)
                self._save_place(position)
                raise
            yield batch

    def _stop_if_asked(self, position):
        """Stop where a signal has come."""
        if self.interruption.signal is not None:
            self._stop(position)

    def _stop(self, position):
        """Save, if need be, and leave."""
        self._save_place(position)
        self._leave()

    def _save_place(self, position):
        """Save, unless it is the beginning of an epoch or saved already."""
        if position.batch and self._saved != (position.epoch, position.batch):
            self._save(position)

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
            position.schedule = self.schedule.state()
            self.run.save(self.network, position, self.callbacks)
            self.every.saved()
        self._saved = (position.epoch, position.batch)
