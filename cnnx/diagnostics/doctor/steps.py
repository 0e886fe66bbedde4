"""Trial training for the doctor: some steps on a copy of a network, and how well it then predicts."""

import copy
import math
from typing import NamedTuple

import numpy as np

from cnnx.layers import Convolutional, Dense
from cnnx.losses import BinaryCrossEntropy, CategoricalCrossEntropy, KLDivergence
from cnnx.optimizers import Adam

# A loss is still falling if its end is less than this fraction of its value half-way.
FALLING = 0.9
# A loss has jumped, or diverged, if it is so many times the usual one.
JUMPED, DIVERGED = 2, 4
PERMUTATIONS = 200


class Trial(NamedTuple):
    """The result of some training steps on a copy of a network.

    Attributes:
        network: the copy after the steps.
        losses: the losses before each step, without l2 penalties, (K,) float64, up to the last finite one.
        finite: whether all losses and gradients were finite.
        updates: ||change|| / ||weights|| by the index of the layer, the median of some steps.
        usual: the larger one of the first loss and the loss of a constant prediction.
    """

    network: object
    losses: np.ndarray
    finite: bool
    updates: dict
    usual: float

    @property
    def end(self):
        """The mean of the last ten losses."""
        return float(self.losses[-10:].mean()) if len(self.losses) else math.nan

    @property
    def still_falling(self):
        """Whether the mean of the last ten losses is clearly less than that of ten half-way."""
        return self.end < FALLING * float(self.losses[len(self.losses) // 2 :][:10].mean())

    @property
    def diverged(self):
        return not self.finite or self.end > DIVERGED * self.usual

    @property
    def jumped(self):
        return not self.finite or self.highest > JUMPED * self.usual

    @property
    def highest(self):
        """The largest mean of ten losses in a row; the loss of a single batch may be unusual."""
        return float(np.convolve(self.losses, np.full(10, 0.1), 'valid').max()) if len(self.losses) >= 10 else math.nan


def train(network, data, batches, rate, steps, chance):
    """Train a network for some steps, and return the `Trial`.

    Args:
        network: a copy, which is changed.
        data: an `ArrayData`.
        batches: an iterable of indices (N,).
        rate: the learning rate.
        steps: the number of steps.
        chance: the loss of a constant prediction.
    """
    update = network.optimizer.prepare(network.trainable_parameters)
    weighted = [layer for layer in network.layers if isinstance(layer, (Convolutional, Dense)) and layer.learns]
    losses, ratios = [], {layer.index: [] for layer in weighted}
    with network.plan.lock:
        for step, index in zip(range(steps), batches, strict=False):
            loss, _, count = network.plan.forward_and_backward(data, index)
            loss = loss / max(count, 1) - network.plan.penalty()
            if not (math.isfinite(loss) and update.gradients_are_finite()):
                return Trial(network, np.array(losses), False, {}, chance)
            losses.append(loss)
            watched = weighted if step % 10 == 9 else []
            before = [layer.weights.copy() for layer in watched]
            update(rate)
            for layer, weights in zip(watched, before, strict=True):
                change = np.linalg.norm(layer.weights - weights)
                ratios[layer.index].append(change / max(np.linalg.norm(weights), 1e-30))
    updates = {index: float(np.median(some)) for index, some in ratios.items() if some}
    return Trial(network, np.array(losses), True, updates, max(losses[0], chance))


def loss_of_chance(network, data, index):
    """Return about the loss of a constant prediction: equal probabilities for classes, else the mean target."""
    if isinstance(network.loss, CategoricalCrossEntropy):
        return math.log(network.layers[-1].shape[-1])
    targets = np.asarray(data.targets[index], np.float64)
    if isinstance(network.loss, (BinaryCrossEntropy, KLDivergence)):
        mean = np.broadcast_to(targets.mean(axis=0), targets.shape)
        return type(network.loss)().value_and_gradient(mean, targets)[0]
    return float(targets.var(axis=0).mean())


def _floor(network, targets):
    """Return the lowest possible loss, which is above 0 with label smoothing, and with targets between 0 and 1."""
    if isinstance(network.loss, BinaryCrossEntropy):
        exact = np.asarray(targets, np.float64)
        return BinaryCrossEntropy().value_and_gradient(exact, exact)[0]
    smoothing = getattr(network.loss, 'label_smoothing', 0)
    if smoothing == 0:
        return 0
    classes = network.layers[-1].shape[-1]
    true, other = 1 - smoothing + smoothing / classes, smoothing / classes
    return -true * math.log(true) - (classes - 1) * other * math.log(other)


def loss_left(trial, data, index):
    """Return the loss after training, or that in prediction if it is smaller, less the lowest possible loss."""
    network = trial.network
    with network.plan.lock:
        loss, _, count = network.plan.evaluate(data, index)
    loss = loss / max(count, 1) - network.plan.penalty()
    return min(trial.end, loss if math.isfinite(loss) else math.inf) - _floor(network, data.targets[index])


def fit_beyond_chance(network, data, index, generator):
    """Return by how many standard deviations predictions fit their targets better than permuted targets.

    This is a permutation test: if targets do not depend on the samples, a permutation of them changes nothing, whatever
    the network is. Source: Good, "Permutation, parametric, and bootstrap tests of hypotheses", 2005, chapter 3.
    """
    outputs, targets = np.asarray(_outputs(network, data, index), np.float64), data.targets[index]
    if isinstance(network.loss, CategoricalCrossEntropy):

        def agreement(order):
            labels = targets[order][..., np.newaxis]
            return np.take_along_axis(outputs, np.maximum(labels, 0), -1)[labels >= 0].mean()

    else:
        values = np.asarray(targets, np.float64).reshape(len(index), -1)
        outputs = outputs.reshape(len(index), -1)
        values, outputs = values - values.mean(axis=0), outputs - outputs.mean(axis=0)

        def agreement(order):
            return (outputs * values[order]).mean()

    permuted = [agreement(generator.permutation(len(index))) for _ in range(PERMUTATIONS)]
    deviation = np.std(permuted)
    own = agreement(np.arange(len(index)))
    return 0.0 if not deviation > 0 else float((own - np.mean(permuted)) / deviation)


def with_adam(network):
    """Return a copy of a network, compiled with a new Adam."""
    network = copy.deepcopy(network)
    network.compile(network.loss, Adam())
    return network


def _outputs(network, data, index):
    outputs = network.predict(data.x[index])
    if isinstance(network.loss, CategoricalCrossEntropy) and network.loss.from_logits:
        outputs = np.exp(outputs - outputs.max(axis=-1, keepdims=True))
        outputs /= outputs.sum(axis=-1, keepdims=True)
    return outputs
