"""Some steps of training of a copy of a network, and what they taught it."""

import copy
import math
from typing import NamedTuple

import numpy as np

from cnnx.layers import Convolutional, Dense
from cnnx.losses import CategoricalCrossEntropy
from cnnx.optimizers import Adam

# A loss that falls by less than this in the second half of the steps stays where it is.
FALLING = 0.9
# One that comes to so many times the first has jumped, or diverged.
JUMPED, DIVERGED = 2, 4
PERMUTATIONS = 200


class Trial(NamedTuple):
    """Some steps of a copy of a network.

    Attributes:
        network: the copy, as the steps left it.
        losses: without penalties of weights, before each step, (K,) float64, as far as they are finite.
        finite: whether all were.
        updates: ||change|| / ||weights|| by the layer's index, the median of some steps.
        usual: the larger one of the first loss and of what choosing all answers alike costs.
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
        """Whether the last ten losses are less than those at half of the way."""
        return self.end < FALLING * float(self.losses[len(self.losses) // 2 :][:10].mean())

    @property
    def diverged(self):
        return not self.finite or self.end > DIVERGED * self.usual

    @property
    def jumped(self):
        return not self.finite or self.highest > JUMPED * self.usual

    @property
    def highest(self):
        """The largest mean of ten losses in a row: single batches may be odd."""
        return float(np.convolve(self.losses, np.full(10, 0.1), 'valid').max()) if len(self.losses) >= 10 else math.nan


def train(network, samples, batches, rate, steps, chance):
    """Take steps on a network, which they change, and return the `Trial`.

    Args:
        network: a copy.
        samples: a `ArrayData`.
        batches: an iterable of indices.
        rate: the learning rate.
        steps: how many.
        chance: what choosing all answers alike costs.
    """
    update = network.optimizer.prepare(network.trainable_parameters)
    weighted = [layer for layer in network.layers if isinstance(layer, (Convolutional, Dense)) and layer.learns]
    losses, ratios = [], {layer.index: [] for layer in weighted}
    with network.plan.lock:
        for step, index in zip(range(steps), batches, strict=False):
            loss = network.plan.learn(samples, index)[0] / len(index)
            loss -= network.plan.penalty()
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


def loss_of_chance(network, samples, index):
    """Return the loss of the best answer that is the same for all samples of a batch, or of any, for classes."""
    if isinstance(network.loss, CategoricalCrossEntropy):
        return math.log(network.layers[-1].shape[0])
    return float(np.asarray(samples.targets[index], np.float64).var(axis=0).mean())


def _floor(network):
    """Return the loss of the best predictions, which label smoothing keeps above 0."""
    smoothing = getattr(network.loss, 'label_smoothing', 0)
    if smoothing == 0:
        return 0
    classes = network.layers[-1].shape[0]
    true, other = 1 - smoothing + smoothing / classes, smoothing / classes
    return -true * math.log(true) - (classes - 1) * other * math.log(other)


def loss_left(trial, samples, index):
    """Return what of a loss is left at the end, in training or, if that is less, in prediction."""
    network = trial.network
    with network.plan.lock:
        loss = network.plan.evaluate(samples, index)[0] / len(index)
    loss -= network.plan.penalty()
    return min(trial.end, loss if math.isfinite(loss) else math.inf) - _floor(network)


def fit_beyond_chance(network, samples, index, generator):
    """Return by how many standard deviations predictions fit the samples' own targets better than exchanged ones.

    A permutation test: where targets do not follow from samples, exchanging them changes nothing, whatever the
    network. Source: Good, "Permutation, parametric, and bootstrap tests of hypotheses", 2005, chapter 3.
    """
    outputs = np.asarray(_outputs(network, samples, index), np.float64).reshape(len(index), -1)
    targets = samples.targets[index]
    if isinstance(network.loss, CategoricalCrossEntropy):

        def agreement(order):
            return outputs[np.arange(len(index)), targets[order]].mean()

    else:
        answers = np.asarray(targets, np.float64).reshape(len(index), -1)
        answers, outputs = answers - answers.mean(axis=0), outputs - outputs.mean(axis=0)

        def agreement(order):
            return (outputs * answers[order]).mean()

    exchanged = [agreement(generator.permutation(len(index))) for _ in range(PERMUTATIONS)]
    deviation = np.std(exchanged)
    own = agreement(np.arange(len(index)))
    return 0.0 if not deviation > 0 else float((own - np.mean(exchanged)) / deviation)


def with_adam(network):
    """Return a copy that Adam trains, with nothing remembered."""
    network = copy.deepcopy(network)
    network.compile(network.loss, Adam())
    return network


def _outputs(network, samples, index):
    outputs = network.predict(samples.x[index])
    if isinstance(network.loss, CategoricalCrossEntropy) and network.loss.from_logits:
        outputs = np.exp(outputs - outputs.max(axis=1, keepdims=True))
        outputs /= outputs.sum(axis=1, keepdims=True)
    return outputs
