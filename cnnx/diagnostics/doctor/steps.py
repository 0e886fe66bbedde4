"""Trial training for the doctor: some steps on a copy of a network, and how well it then predicts."""

import copy
import math
from typing import NamedTuple

import numpy as np

from cnnx._util.arrays import softmax
from cnnx.layers import Convolutional, Dense
from cnnx.losses import BinaryCrossEntropy, CategoricalCrossEntropy, KLDivergence, MeanSquaredError
from cnnx.optimizers import Adam

# A loss has jumped if it is so many times the usual one.
JUMPED = 2
# A loss is far above that of a constant prediction if it is so many times that.
FAR = 2
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
        """The mean of the last losses: a sixth of them, at least ten."""
        return float(self.losses[-max(10, len(self.losses) // 6) :].mean()) if len(self.losses) else math.nan

    def forecast(self, steps, chance):
        """Return the loss after so many steps in all, if it goes on to fall as in the second half.

        It falls exponentially; or, far above the loss of a constant prediction, as a power of the steps, which slows
        down.
        """
        done = np.arange(len(self.losses) // 2, len(self.losses)) + 1.0
        if self.end > FAR * chance:
            done, steps = np.log(done), math.log(steps)
        late = np.log(np.maximum(self.losses[len(self.losses) // 2 :], np.finfo(float).tiny))
        gradient = np.polyfit(done, late, 1)[0]
        return self.end * math.exp(min(0, gradient * (steps - done[-1])))

    @property
    def jumped(self):
        return not self.finite or self.highest > JUMPED * self.usual

    @property
    def highest(self):
        """The largest mean of ten losses in a row; the loss of a single batch may be unusual."""
        return float(np.convolve(self.losses, np.full(10, 0.1), 'valid').max()) if len(self.losses) >= 10 else math.nan


def train(network, data, batches, rate, steps, chance, earlier=None):
    """Train a network for some steps, and return the `Trial`.

    Args:
        network: a copy, which is changed.
        data: an `ArrayData`.
        batches: an iterable of indices (N,).
        rate: the learning rate.
        steps: the number of steps.
        chance: the loss of a constant prediction.
        earlier: a `Trial` of this network to continue, or None.
    """
    update = network.optimizer.prepare(network.trainable_parameters)
    weighted = [layer for layer in network.layers if isinstance(layer, (Convolutional, Dense)) and layer.learns]
    losses = [] if earlier is None else list(earlier.losses)
    ratios = {layer.index: [] for layer in weighted}
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
    updates = updates if earlier is None else earlier.updates | updates
    return Trial(network, np.array(losses), True, updates, max(losses[0], chance))


def loss_of_chance(network, data, index):
    """Return the loss of a constant prediction: equal probabilities for classes, or the mean target.

    For other losses, where the best constant is not known, it is that of the network as it is. It is 0, which says
    nothing, where the targets are between 0 and 1 and a perfect prediction's loss is not far below.
    """
    if isinstance(network.loss, CategoricalCrossEntropy):
        return math.log(network.layers[-1].shape[-1])
    targets = np.asarray(data.targets[index], np.float64)
    if isinstance(network.loss, MeanSquaredError):
        return float(targets.var(axis=0).mean())
    if isinstance(network.loss, (BinaryCrossEntropy, KLDivergence)):
        kind, mean = type(network.loss), np.broadcast_to(targets.mean(axis=0), targets.shape)
        constant, perfect = (kind().value_and_gradient(y, targets)[0] for y in (mean, targets))
        return constant if perfect < constant / 2 else 0.0
    with network.plan.lock:
        loss, _, count = network.plan.evaluate(data, index)
    return loss / max(count, 1) - network.plan.penalty()


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
        outputs = softmax(outputs)
    return outputs
