"""The training loop: epochs, batches, what is printed and what is saved. The network is handed in."""

import math
import time
import uuid
from pathlib import Path

import numpy as np

from cnnx import checkpoint, kernels
from cnnx.geometry import positive_int
from cnnx.progress import Progress
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
    """x and y, checked against a network, and read a batch at a time; errors begin with `prefix`."""

    def __init__(self, network, x, y, prefix=''):
        self.x = network.check_samples(x, f'{prefix}x')
        self.dtype = network.dtype
        self.targets = network.loss.prepare(y, network.layers[-1].output_shape, network.dtype, f'{prefix}y')
        self.measures_accuracy = network.loss.measures_accuracy(self.targets)
        if len(self.x) != len(self.targets):
            raise ValueError(f'{prefix}expected as many samples as targets, got {len(self.x)} and {len(self.targets)}')
        if len(self.x) == 0:
            raise ValueError(f'{prefix}expected at least one sample, got none')

    def __len__(self):
        return len(self.x)

    @property
    def direct(self):
        """Whether kernels can read x as it is."""
        return self.x.dtype == self.dtype and self.x.dtype.isnative and self.x.flags.c_contiguous

    def batch(self, index):
        """Return (x, targets) of some samples, x as kernels take it."""
        return np.ascontiguousarray(self.x[index], self.dtype), self.targets[index]


class Mean:
    """The mean loss and accuracy of samples that come in batches, each counting with its own size."""

    def __init__(self, measures_accuracy):
        self.measures_accuracy = measures_accuracy
        self.loss = self.correct = self.count = 0

    def add(self, count, loss, correct):
        """Count a batch in: its size, the sum of its losses, and how many it has right."""
        self.count += count
        self.loss += loss
        self.correct += correct

    def figures(self):
        figures = {'loss': self.loss / self.count}
        if self.measures_accuracy:
            figures['accuracy'] = self.correct / self.count
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
        learning_rate: the size of a step, or a schedule of `cnnx.schedules`.
        batch_size: samples to a step; the last batch of an epoch has what is left.
        checkpoint_dir: the folder for a checkpoint an epoch, made if need be; None saves none.
        checkpoint_prefix: files are named `{prefix}_epoch_{n}.npz`.
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
        OSError: a checkpoint cannot be written.
    """
    epochs, batch_size = positive_int(epochs, 'epochs'), positive_int(batch_size, 'batch_size')
    schedule = as_schedule(learning_rate)
    samples = Samples(network, x, y)
    validation = None if validation_data is None else _validation_samples(network, validation_data)
    progress = Progress(verbose, epochs)
    saver = None
    if checkpoint_dir is not None:
        settings = {'epochs': epochs, 'samples': len(samples), 'batch_size': batch_size, 'shuffle': bool(shuffle)}
        saver = Checkpoints(checkpoint_dir, checkpoint_prefix, settings | _other_settings(network, schedule))
    elif resume_from_checkpoint:
        raise ValueError('resume_from_checkpoint: give the checkpoint_dir to resume from')
    history = History()
    if resume_from_checkpoint:
        history = saver.resume(network, progress)
    elif saver is not None:
        saver.begin(network)
    done = len(history.history.get('loss', ()))
    if done >= epochs:
        progress.say(f'{done} epochs are done already, {epochs} were asked for: nothing to train')
    for epoch in range(done + 1, epochs + 1):
        with progress.epoch(epoch, len(samples)) as shown:
            began = time.perf_counter()
            rates = _rates(schedule, epoch, epochs, -(-len(samples) // batch_size))
            figures = _train_epoch(network, samples, rates, batch_size, shuffle, shown)
            if validation is not None:
                results = _evaluate(network, validation, batch_size=256)
                figures |= {f'val_{key}': value for key, value in results.items()}
            shown.finish(figures, time.perf_counter() - began)
        history.append(figures)
        if saver is not None:
            saver.save(network, epoch, history)
    return history


def evaluate(network, x, y, *, batch_size):
    """Return the mean loss, and accuracy where the loss has one, over samples."""
    return _evaluate(network, Samples(network, x, y), positive_int(batch_size, 'batch_size'))


def _other_settings(network, schedule):
    """Return what, beside data and batches, a run's bits depend on."""
    backend = kernels.current()
    return {
        'schedule': type(schedule).__name__,
        **schedule.settings(),
        **network.optimizer.settings(),
        'backend': backend.name,
        'tier': backend.tier,
    }


def _rates(schedule, epoch, epochs, batches):
    """Return the learning rate of each of an epoch's batches."""
    done = (epoch - 1) * batches
    return [schedule(done + batch, epochs * batches) for batch in range(batches)]


def _train_epoch(network, samples, rates, batch_size, shuffle, shown):
    N = len(samples)
    order = network.generator.permutation(N) if shuffle else np.arange(N, dtype=np.int64)
    mean = Mean(samples.measures_accuracy)
    plan = network.plan
    work = 3 * min(N, batch_size) * sum(layer.multiply_adds for layer in network.layers)
    update = network.optimizer.prepare(network.parameters.values(), work)
    for index, learning_rate in zip(_batches(order, batch_size), rates, strict=True):
        with plan.lock:
            mean.add(len(index), *plan.learn(samples, index))
            update(learning_rate)
        shown.advance(len(index), mean)
    return mean.figures()


def _evaluate(network, samples, batch_size):
    mean = Mean(samples.measures_accuracy)
    plan = network.plan
    for index in _batches(np.arange(len(samples), dtype=np.int64), batch_size):
        with plan.lock:
            mean.add(len(index), *plan.assess(samples, index))
    return mean.figures()


def _batches(order, batch_size):
    """Yield the indices of each batch; the last batch may be smaller."""
    for first in range(0, len(order), batch_size):
        yield order[first : first + batch_size]


class Checkpoints:
    """A run's checkpoints in their folder: a file an epoch, with all that the rest of the run depends on."""

    def __init__(self, folder, prefix, settings):
        self.folder = Path(folder)
        self.prefix = checkpoint.check_prefix(prefix)
        self.settings = settings
        self.run = {'id': uuid.uuid4().hex, 'started': time.time()}
        if self.folder.exists() and not self.folder.is_dir():
            raise ValueError(f'checkpoint_dir: expected a folder, {folder} is a file')
        self.folder.mkdir(parents=True, exist_ok=True)

    def begin(self, network):
        """Begin anew: where an older run's checkpoints are, leave one of epoch 0 for a resume to find before them."""
        newest = checkpoint.newest_start(self.folder, self.prefix)
        if newest is not None:
            self.run['started'] = max(self.run['started'], math.nextafter(newest, math.inf))
            self.save(network, 0, History())

    def save(self, network, epoch, history):
        description = {
            **network.describe(),
            'epoch': epoch,
            'history': history.history,
            'settings': self.settings,
            'run': self.run,
        }
        path = checkpoint.checkpoint_path(self.folder, self.prefix, epoch)
        checkpoint.write(path, network.checkpoint_arrays(), description)

    def resume(self, network, progress):
        """Bring the network to where the newest checkpoint was written, and return the history up to there."""
        found = checkpoint.read_newest(self.folder, self.prefix)
        if found is None:
            progress.say(f'no checkpoint named {self.prefix} in {self.folder}: training begins at epoch 1')
            return History()
        path, arrays, description, damage = found
        for line in damage:
            progress.say(f'passed over {line}')
        try:
            run, settings, history = (dict(description[key]) for key in ('run', 'settings', 'history'))
        except (LookupError, TypeError, ValueError) as error:
            raise checkpoint.CheckpointError(f'{path}: not a checkpoint of a training run ({error})') from error
        network.restore(arrays, description, path)
        self.run = run
        progress.say(f'resumed from {path}')
        for key, value in self.settings.items():
            if settings.get(key) != value:
                progress.say(f'{key} was {settings.get(key)} up to here and is {value} from here on')
        return History(history)


def _validation_samples(network, data):
    if not isinstance(data, (tuple, list)) or len(data) != 2:
        raise ValueError(f'validation_data: expected a pair (x, y), got {type(data).__name__}')
    return Samples(network, *data, prefix='validation_data: ')
