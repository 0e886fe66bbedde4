"""`Network.train`: checks the arguments and puts a run together; the loop is in loop.py."""

import contextlib
import math
import sys

import numpy as np

from cnnx import kernels
from cnnx._util.foreign_names import TRAIN_KEYWORDS
from cnnx._util.hints import explained
from cnnx._util.validation import is_number, positive, positive_int, true_or_false
from cnnx._version import __version__
from cnnx.augmentation.transforms import as_augmentations, describe
from cnnx.callbacks.base import RunFacts
from cnnx.schedules import as_schedule
from cnnx.training.array_data import split_off
from cnnx.training.augmented_data import AugmentedData
from cnnx.training.batch_data import BatchData, as_data, as_validation
from cnnx.training.callback_list import CallbackList
from cnnx.training.data_checks import warn_of_data
from cnnx.training.evaluation import Measurement
from cnnx.training.history import History, Position
from cnnx.training.learned_nothing import say_if_nothing_is_learned
from cnnx.training.loop import Loop
from cnnx.training.progress import Progress
from cnnx.training.resume import Every, Run
from cnnx.training.signals import Interruption


def _check_places(arguments):
    """Raise an error about arguments of `train` by place that mean something else in another library."""
    if len(arguments) > 1 and isinstance(arguments[1], bool):
        raise TypeError('train: there is no training mode to set; leave it out: dropout works in train alone')
    if len(arguments) > 4 and is_number(arguments[4]) and arguments[4] > 1:
        epochs, rate = arguments[3:5]
        raise ValueError(
            f'train(x, y, {epochs}, {rate}): that is {epochs} epochs at learning rate {rate}; give a batch size '
            f'by name, batch_size=..., and so large a rate too, learning_rate={rate}'
        )


@explained(TRAIN_KEYWORDS, 'there is no training mode to set', _check_places)
def train(
    network,
    x,
    y=None,
    epochs=10,
    learning_rate=None,
    *,
    batch_size=32,
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

    Arrays that look wrong are trained on as they are, after a `DataWarning`: pixels of 0 to 255, labels from 1, classes
    without samples, validation data of one class.

    Args:
        network: a `cnnx.Network`.
        x: samples (N, ...), any real dtype; batches are converted as they come, so an array may be mapped from a
            file that is larger than memory. Or, without y, batches (x, y) or (x, y, sample_weight): an iterable of
            them that an epoch goes through, a function of the epoch's number, from 1, that returns one, or an iterator
            that each epoch takes `steps_per_epoch` batches from.
        y: targets, as the loss takes them, read as x is; None where x gives batches.
        epochs: how often to go through all samples.
        learning_rate: the size of a step; or a schedule of `cnnx.schedules`, or a function of (step, steps): how
            many steps are done, and how many the run has; None for the optimizer's usual one, its
            `usual_learning_rate`.
        batch_size: samples to a step; the last batch of an epoch has what is left.
        sample_weight: how much each sample counts in the loss and its gradient, (N,), or each position of outputs
            (N, ..., classes), (N, ...); 1 by default. The loss is the sum of the weighted losses, divided by the number
            of samples or positions, as in Keras.
        class_weight: how much the samples or positions of each class count, a dict by class; others count 1.
        augment: a list of `cnnx.augmentation` objects, or functions of (images, generator) that return images, which
            change the images of each batch before it is learned from; x itself and validation data stay as they are.
            For networks of images (H, W, C). None changes nothing.
        validation_data: a tuple (x, y) or (x, y, sample_weight) to evaluate after each epoch, or batches; or None.
        validation_split: this fraction of the samples, the last ones, is the validation data.
        shuffle: a new random order each epoch.
        steps_per_epoch: how many batches make up an epoch, where x gives batches; by default all, which must come to an
            end. Of an iterator, each epoch takes the next ones; of others the first ones.
        validation_steps: the same of validation_data.
        callbacks: a list of `cnnx.callbacks.Callback` objects.
        max_seconds: a budget of time, over all resumes. After the batch that uses it up, the run is evaluated and
            ends; a schedule follows the budget where that is further than the steps. Such a run is not reproducible.
        checkpoint_dir: the folder for a checkpoint an epoch, made if need be; None saves none.
        checkpoint_prefix: files are named `{prefix}_epoch_{n}.npz`, those within an epoch
            `{prefix}_epoch_{n}_batch_{b}.npz`.
        checkpoint_every: when to save within epochs as well: a number of batches, or a time such as '30s',
            '5m' or a `datetime.timedelta`; None for never. Only the newest of these files stays.
        keep: how many checkpoints of epochs stay; None for all.
        resume_from_checkpoint: continue from the newest of these files, exactly as if the run that wrote it
            had not been interrupted; start from epoch 1 where there is none.
        verbose: 0 prints nothing; 1 prints a line an epoch, and shows a progress bar on a terminal, and in a
            notebook that has ipywidgets; 2 prints the lines alone.

    Returns:
        A `History`, over all epochs, those before a resume included. With validation data, it has the metrics of
        `compile` too; of those that are one number a class, the mean over classes. It is also the network's `history`,
        where an error or Ctrl-C leaves it, up to the last whole epoch.

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
    if epochs > sys.maxsize:
        raise ValueError(f'epochs: expected at most {sys.maxsize}')
    rate = network.optimizer.usual_learning_rate if learning_rate is None else learning_rate
    resume = true_or_false(resume_from_checkpoint, 'resume_from_checkpoint (the folder is the checkpoint_dir)')
    if checkpoint_dir is None and (resume or checkpoint_every is not None or keep is not None):
        raise ValueError('resume_from_checkpoint, checkpoint_every and keep: give the checkpoint_dir')
    shuffle = true_or_false(shuffle, 'shuffle')
    schedule, callbacks = as_schedule(rate), CallbackList(callbacks)
    every = None if checkpoint_every is None else Every(checkpoint_every)
    seconds = math.inf if max_seconds is None else positive(max_seconds, 'max_seconds')
    data, validation = as_data(network, x, y, sample_weight, steps_per_epoch, epochs), None
    if validation_data is not None or validation_split is not None or validation_steps is not None:
        data, validation = _with_validation(network, data, validation_data, validation_split, validation_steps, epochs)
    warn_of_data(network, data, validation)
    if class_weight is not None:
        data.weigh_classes(class_weight, network)
    samples, augment = data, as_augmentations(augment)
    if augment:
        data = AugmentedData(data, augment, network)
    if not (network.trainable_parameters or callbacks):  # which may set layers free
        raise ValueError('train: no layer learns: set layer.trainable, or add one with parameters')
    names = _names_of_metrics(network, data, validation)
    schedule.check(epochs, names)
    schedule.restore({})  # it may have been used before
    progress, history = Progress(verbose, epochs), History()
    given = {'epochs': epochs, 'batch_size': batch_size, 'shuffle': shuffle, 'steps_per_epoch': steps_per_epoch}
    given |= {'class_weight': class_weight, 'max_seconds': max_seconds, 'augment': augment}
    settings = _settings(given, data, network, schedule)
    facts = RunFacts(epochs, data.steps(batch_size), seconds, validation, settings)
    callbacks.begin(network, history, names, progress.note, facts)
    run = None
    if checkpoint_dir is not None:
        run = Run(checkpoint_dir, checkpoint_prefix, settings, keep)
    # From here on signals are noted: a Ctrl-C while the lock is taken or released would leave it locked.
    with contextlib.closing(progress), Interruption() as interruption, run or contextlib.nullcontext():
        position = Position()
        if run is not None:
            start = run.resume if resume else run.begin
            position = start(network, schedule, callbacks, progress, interruption)
        if position.epoch > epochs:
            progress.say(f'{position.epoch - 1} epochs are done already, {epochs} were asked for: nothing to train')
        history.history, network.history = position.history, history
        network.reset_update()  # the optimizer's state may be other arrays now
        parts = network, data, validation, schedule, callbacks, history
        loop = Loop(*parts, epochs, batch_size, shuffle, seconds, progress, run, every, interruption)
        loop.run_from(position)
        say_if_nothing_is_learned(network, samples, history, progress)
    return history


def _settings(given, data, network, schedule):
    """Return a function that returns what a run's bits depend on; callbacks may change some of it."""

    def now():
        backend, weights = kernels.current(), given['class_weight']
        return {
            'schedule': type(schedule).__name__,
            **schedule.settings(),
            **network.optimizer.settings(),
            'fused': network.runs_fused,
            'backend': backend.name,
            'tier': backend.tier,
            'cnnx': __version__,
            'numpy': np.__version__,
            **given,
            'samples': data.size,
            'batches': data.steps(given['batch_size']),
            'class_weight': weights and {str(key): value for key, value in weights.items()},
            'augment': describe(given['augment']),
        }

    return now


def _names_of_metrics(network, data, validation):
    """Return the names of an epoch's metrics, after checking that those of `compile` fit the validation data."""
    names = ['loss', 'accuracy'] if data.measures_accuracy else ['loss']
    if validation is not None:
        names += ['val_loss', 'val_accuracy'] if validation.measures_accuracy else ['val_loss']
        if network.metrics:
            Measurement(network, validation, network.metrics)
            names += [f'val_{metric.name}' for metric in network.metrics]
    return names


def _with_validation(network, data, validation_data, fraction, steps, epochs):
    """Return what is trained on, and what is validated with or None."""
    if validation_data is not None and fraction is None:
        return data, as_validation(network, validation_data, steps, epochs)
    if steps is not None:
        raise ValueError('validation_steps: goes with batches as validation_data')
    if fraction is None:
        return data, None
    if validation_data is not None or isinstance(data, BatchData):
        raise ValueError('validation_split: goes with arrays x and y, and without validation_data')
    return split_off(data, fraction)
