"""Whether a run has learned nothing: its network predicts training samples no better than a constant does."""

import numpy as np

from cnnx.losses import BinaryCrossEntropy, CategoricalCrossEntropy, Huber, MeanAbsoluteError, MeanSquaredError
from cnnx.training.array_data import ArrayData

OF_NUMBERS = (BinaryCrossEntropy, Huber, MeanAbsoluteError, MeanSquaredError)
# The largest number of samples that are predicted, evenly spread over all.
MOST_SAMPLES = 256
# Samples are predicted only where the last epoch had at least this fraction of a constant prediction's loss, or no
# better accuracy.
SUSPICIOUS = 0.95


def say_if_nothing_is_learned(network, data, history, progress):
    """Print a line if a run ends no better than a constant prediction; for batches, maps and other losses, nothing.

    Args:
        network: as the run leaves it.
        data: what it was trained on, before augmentation.
        history: a `History`.
        progress: a `Progress`, which prints; where it is silent, nothing is computed.
    """
    shape = network.layers[-1].shape
    kind = type(network.loss)
    known = kind in OF_NUMBERS or (kind is CategoricalCrossEntropy and len(shape) == 1)
    if not (progress.verbose and history and known and isinstance(data, ArrayData)):
        return
    index = np.unique(np.linspace(0, len(data) - 1, min(len(data), MOST_SAMPLES), dtype=int))
    constant, most = _constant_prediction(network.loss, data.targets[index], shape[-1])
    loss = history['loss'][-1] - network.plan.penalty()
    inaccurate = 'accuracy' in history and history['accuracy'][-1] <= most / len(index)
    if constant == 0 or (loss < SUSPICIOUS * constant and not inaccurate):
        return
    with network.plan.lock, np.errstate(all='ignore'):
        loss, correct, count = network.plan.evaluate(data, index)
        loss = loss / max(count, 1) - network.plan.penalty()
    if (data.weights is None and not loss < constant) or (data.measures_accuracy and correct <= most):
        progress.say(
            f'nothing learned: the loss of {len(index)} training samples is {loss:.4g}, that of a constant prediction '
            f'{constant:.4g}; net.doctor(x, y) looks for the cause'
        )


def _constant_prediction(loss, targets, classes):
    """Return the loss of the best constant prediction, and how many it predicts right, or 0 where nothing is right."""
    if isinstance(loss, CategoricalCrossEntropy):
        labels = targets[targets >= 0]
        counts = np.bincount(labels, minlength=classes)
        fractions = (1 - loss.label_smoothing) * counts / max(len(labels), 1) + loss.label_smoothing / classes
        present = fractions[fractions > 0]
        return -float((present * np.log(present)).sum()), counts.max()
    targets = np.asarray(targets, np.float64)
    constants = [targets.mean(axis=0), np.median(targets, axis=0)]
    if getattr(loss, 'from_logits', False):
        with np.errstate(divide='ignore'):
            constants = [np.log(constants[0] / (1 - constants[0])).clip(-100, 100)]
    losses = [loss.value_and_gradient(np.broadcast_to(c, targets.shape).copy(), targets)[0] for c in constants]
    return float(min(losses)), 0
