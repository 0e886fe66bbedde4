"""What training shows in some steps: whether one batch can be learned, at this rate, and what of it holds elsewhere."""

import copy
import itertools
import math
from typing import NamedTuple

import numpy as np

from cnnx.doctor.findings import Finding
from cnnx.layers import Convolutional, Dense
from cnnx.losses import CategoricalCrossEntropy
from cnnx.optimizers import Adam
from cnnx.rate_finder import find_learning_rate

# Of training on one small batch at the rate that was given; and with Adam, where that does not learn it.
BATCH, STEPS, ADAM_STEPS, ADAM_RATES = 16, 150, 200, (0.003, 0.02)
# So many parameters to each number that is to be learned by heart.
PARAMETERS = 10
# Learned is a loss of less than this share of what choosing all answers alike costs; and not learned, more than that.
LEARNED, NOT_LEARNED = 0.1, 0.3
# A loss that has not come below this share of the first has not fallen.
FALLEN = 0.8
# One that falls by less than this in the second half of the steps stays where it is.
FALLING = 0.9
# One that comes to so many times the first has jumped, or diverged.
JUMPED, DIVERGED = 2, 4
# A rate is too low, or high, that is so many times off what the range test suggests; and too low only where no weights
# change by more than this share of themselves in a step; nor should they by so much. About 1e-3 is usual.
TOO_LOW, TOO_HIGH, SMALL_UPDATE, LARGE_UPDATE = 10, 10, 1e-4, 0.3
# Of training on a part of the samples: how many, and how often it is looked at what holds for others.
PART, PART_LOOKS, LOOK_EVERY = 64, 4, 40
# And of learning the part by heart with Adam, which is a loss of less than this share of chance.
HEART_LOOKS, BY_HEART = 12, 0.3
# Standard deviations from chance that show that targets follow from samples, or do not; how few samples show nothing.
CERTAIN, UNCERTAIN, FEWEST = 3.5, 2, 50
PERMUTATIONS = 200
MOST_HELD_OUT = 1000


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
        samples: a `Samples`.
        batches: an iterable of indices.
        rate: the learning rate.
        steps: how many.
        chance: what choosing all answers alike costs.
    """
    update = network.optimizer.prepare(network.trainable_parameters)
    weighted = [layer for layer in network.layers if isinstance(layer, (Convolutional, Dense)) and layer.learns]
    losses, ratios = [], {layer.index: [] for layer in weighted}
    with network.plan.lock, np.errstate(all='ignore'):
        for step, index in zip(range(steps), batches, strict=False):
            loss = network.plan.learn(samples, index)[0] / len(index)
            loss -= sum(layer.penalty() for layer in network.layers if layer.l2 > 0)
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


class Trials:
    """Training of copies of a network, and what it shows.

    Args:
        network: stays as it is.
        samples: all of them.
        rate, batch_size: as `doctor` takes them.
        generator: that samples are drawn with.

    Attributes:
        trial: the last steps at the rate on a part of the samples, or None.
    """

    def __init__(self, network, samples, rate, batch_size, generator):
        self._network, self._samples = network, samples
        self._rate, self._batch_size, self._generator = rate, batch_size, generator
        self.trial = None

    def examine(self):
        """Return findings."""
        findings, learns = self._one_batch()
        if learns and len(self._samples) >= 4:
            findings += self._part()
        return findings

    def _one_batch(self):
        """Return findings, and whether the network learns one small batch at the rate that was given."""
        index = self._batch()
        chance = _chance(self._network, self._samples, index)
        if chance == 0:
            return [], True
        trial = self._on(self._network, index, self._rate, STEPS, chance)
        if not trial.diverged and _end(trial, self._samples, index) < max(LEARNED * chance, 1e-12):
            return [], True
        fallen = trial.finite and trial.end < FALLEN * trial.losses[0]
        slow = max(trial.updates.values(), default=1) < SMALL_UPDATE
        working = fallen and not (trial.diverged or slow)
        if working and trial.still_falling:
            return [], True
        others = [trial]
        for rate in ADAM_RATES:
            others.append(self._on(_with_adam(self._network), index, rate, ADAM_STEPS, chance))
            if others[-1].finite and _end(others[-1], self._samples, index) < 2 * LEARNED * chance:
                return self._rate_findings(trial, slow, rate, chance)
        best = min((_end(t, self._samples, index) for t in others if t.finite), default=math.inf)
        if best < NOT_LEARNED * chance or any(t.finite and t.still_falling for t in others):
            return [], working
        return [_cannot_learn(len(index), chance, best)], False

    def _rate_findings(self, trial, slow, rate, chance):
        """Return findings where Adam learns one batch and the rate that was given does not; and whether that works."""
        start = trial.losses[0] if len(trial.losses) else math.nan
        stuck = trial.finite and not trial.still_falling and trial.end > NOT_LEARNED * chance
        if not (trial.jumped or slow or stuck):
            return [], True
        found = self._range_test()
        better = found.suggestion or 0
        high = trial.jumped or (not slow and better and self._rate > TOO_HIGH * better)
        if not (high or slow):
            return [], False
        if better and (self._rate < better if high else self._rate * TOO_LOW > better):
            return [], False
        ends = f'goes from {start:.3g} to {trial.end:.3g}' if trial.finite else 'is not finite any more'
        what = f'in {len(trial.losses)} steps on one small batch the loss {ends}. Adam learns it, at {rate:g}'
        return [_wrong_rate(self._rate, high, what, found)], False

    def _range_test(self):
        x, targets = self._samples.x, self._samples.targets
        return find_learning_rate(self._network, x, targets, self._batch_size)

    def _part(self):
        """Train on a part of the samples, and see what holds for others."""
        order = self._generator.permutation(len(self._samples))
        size = min(max(PART, 2 * self._batch_size), len(order) // 2)
        own, others = np.sort(order[:size]), np.sort(order[size:][:MOST_HELD_OUT])
        network, batches = copy.deepcopy(self._network), self._batches(own)
        chance = _chance(network, self._samples, own)
        for _ in range(PART_LOOKS):
            self.trial = trial = train(network, self._samples, batches, self._rate, LOOK_EVERY, chance)
            if trial.jumped:
                found = self._range_test()
                if trial.finite and (found.suggestion or 0) > self._rate:
                    return []
                what = f'comes to {trial.highest:.3g}, from {trial.usual:.3g}' if trial.finite else 'is not finite soon'
                what = f'in {LOOK_EVERY} steps on {len(own)} samples the loss {what}'
                return [_wrong_rate(self._rate, True, what, found)]
            if _certainty(network, self._samples, others, self._generator) > CERTAIN:
                return self._large_updates()
        return [*self._large_updates(), *self._unrelated(own, others)]

    def _unrelated(self, own, others):
        """Yield that what Adam learns of a part by heart does not hold for others, where it does not."""
        if len(others) < FEWEST:
            return
        network, batches = _with_adam(self._network), self._batches(own)
        chance = _chance(network, self._samples, own)
        for look in range(1, HEART_LOOKS + 1):
            trial = train(network, self._samples, batches, ADAM_RATES[0], LOOK_EVERY, chance)
            if trial.diverged:
                return
            certainty = _certainty(network, self._samples, others, self._generator)
            if certainty > CERTAIN:
                return
            if _end(trial, self._samples, own) < BY_HEART * chance:
                if certainty < UNCERTAIN:
                    yield _unrelated(len(own), len(others), look * LOOK_EVERY, certainty)
                return

    def _large_updates(self):
        large = {index: ratio for index, ratio in self.trial.updates.items() if ratio > LARGE_UPDATE}
        return [_large_update(self._network, large)] if large else []

    def _on(self, network, index, rate, steps, chance):
        return train(copy.deepcopy(network), self._samples, itertools.repeat(index), rate, steps, chance)

    def _batch(self):
        """Return some samples, few enough that the weights outnumber their targets."""
        parameters = sum(p.value.size for p in self._network.trainable_parameters)
        outputs = math.prod(self._network.layers[-1].output_shape)
        size = max(2, min(BATCH, parameters // (PARAMETERS * outputs), len(self._samples)))
        return self._generator.permutation(len(self._samples))[:size]

    def _batches(self, own):
        size = min(self._batch_size, len(own))
        while True:
            order = self._generator.permutation(own)
            for first in range(0, len(order) - size + 1, size):
                yield order[first : first + size]


def _chance(network, samples, index):
    """Return the loss of the best answer that is the same for all samples of a batch, or of any, for classes."""
    if isinstance(network.loss, CategoricalCrossEntropy):
        return math.log(network.layers[-1].output_shape[0])
    return float(np.asarray(samples.targets[index], np.float64).var(axis=0).mean())


def _floor(network):
    """Return the loss of the best predictions, which label smoothing keeps above 0."""
    smoothing = getattr(network.loss, 'label_smoothing', 0)
    if smoothing == 0:
        return 0
    classes = network.layers[-1].output_shape[0]
    true, other = 1 - smoothing + smoothing / classes, smoothing / classes
    return -true * math.log(true) - (classes - 1) * other * math.log(other)


def _end(trial, samples, index):
    """Return what of a loss is left at the end, in training or, if that is less, in prediction."""
    network = trial.network
    with network.plan.lock, np.errstate(all='ignore'):
        loss = network.plan.assess(samples, index)[0] / len(index)
    loss -= sum(layer.penalty() for layer in network.layers if layer.l2 > 0)
    return min(trial.end, loss if math.isfinite(loss) else math.inf) - _floor(network)


def _certainty(network, samples, index, generator):
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


def _with_adam(network):
    network = copy.deepcopy(network)
    network.compile(network.loss, Adam())
    return network


def _outputs(network, samples, index):
    with np.errstate(all='ignore'):
        outputs = network.predict(samples.x[index])
    if isinstance(network.loss, CategoricalCrossEntropy) and network.loss.from_logits:
        outputs = np.exp(outputs - outputs.max(axis=1, keepdims=True))
        outputs /= outputs.sum(axis=1, keepdims=True)
    return outputs


def _cannot_learn(size, chance, best):
    return Finding(
        'cannot_overfit',
        'error' if best > FALLEN * chance else 'warning',
        None,
        f'{size} samples cannot be learned by heart: {STEPS} steps at the rate that was given, and {ADAM_STEPS} of '
        f'Adam at {ADAM_RATES[0]} or at {ADAM_RATES[1]}, leave a loss of {best:.3g}, where the same answer for all '
        f'costs {chance:.3g}.',
        'See to the other findings, if there are any; else more units or layers, less Dropout or l2; or equal samples '
        'have different targets.',
        {'samples': size, 'loss': best, 'chance': chance},
    )


def _wrong_rate(rate, high, what, found):
    where, other = ('high', 'a tenth') if high else ('low', 'ten times')
    return Finding(
        f'rate_too_{where}',
        'error' if high else 'warning',
        None,
        f'The learning rate {rate:g} is too {where}: {what}.',
        f'Try {other} of it.' if found.suggestion is None else f'Try {found.suggestion:.2g}: {found.message}.',
        {'rate': rate, 'suggestion': found.suggestion},
    )


def _large_update(network, large):
    index = max(large, key=large.get)
    return Finding(
        'large_updates',
        'warning',
        index,
        f'A step changes the weights of {network.layers[index].where} by {large[index]:.2g} of their size; about 1e-3 '
        'is usual.',
        'Try a smaller learning rate, or look at the size of x.',
        {network.layers[i].where: ratio for i, ratio in large.items()},
    )


def _unrelated(own, others, steps, certainty):
    return Finding(
        'targets_unrelated',
        'warning',
        None,
        f'What {steps} steps on {own:,} samples teach does not hold for {others:,} others: their targets fit the '
        f'predictions no better than exchanged ones ({certainty:+.1f} standard deviations), though a small batch is '
        'learned by heart.',
        'Look at some samples with their targets: x and y may have been shuffled apart, or y may come from elsewhere.',
        {'steps': steps, 'standard_deviations': certainty},
    )
