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
BATCH, STEPS, ADAM_STEPS, ADAM_RATE = 16, 150, 300, 0.003
# Of training on half of the samples; and how often it is looked at what holds for the other half.
HALF_STEPS, LOOK_EVERY = 160, 40
# Learned is a loss of less than this share of what choosing all answers alike costs.
LEARNED = 0.1
# A loss that has not come below this share of the first has not fallen.
FALLEN = 0.8
# And one that comes over this many times the first has diverged.
DIVERGED = 4
# A rate that is so many times off the one that the range test suggests.
TOO_HIGH, TOO_LOW = 3, 10
# Weights that change by this share of themselves in a step leave where they were too fast, or never.
LARGE_UPDATE = 0.3
# How many standard deviations from chance show that targets follow from samples; and how few samples show nothing.
CERTAIN, FEWEST = 3.5, 50
PERMUTATIONS = 200
MOST_HELD_OUT = 1000


class Trial(NamedTuple):
    """Some steps of a copy of a network.

    Attributes:
        network: the copy, as the steps left it.
        losses: without penalties of weights, before each step, (K,) float64, as far as they are finite.
        finite: whether all were.
        updates: ||change|| / ||weights|| by the layer's index, the median of some steps.
    """

    network: object
    losses: np.ndarray
    finite: bool
    updates: dict

    @property
    def end(self):
        """The mean of the last ten losses."""
        return float(self.losses[-10:].mean()) if len(self.losses) else math.nan

    @property
    def diverged(self):
        return not self.finite or self.losses[-1] > DIVERGED * max(self.losses[0], 1e-6)


def train(network, samples, batches, rate, steps):
    """Take steps on a network, which they change, and return the `Trial`.

    Args:
        network: a copy.
        samples: a `Samples`.
        batches: an iterable of indices.
        rate: the learning rate.
        steps: how many.
    """
    update = network.optimizer.prepare(network.trainable_parameters)
    weighted = [layer for layer in network.layers if isinstance(layer, (Convolutional, Dense)) and layer.learns]
    losses, ratios = [], {layer.index: [] for layer in weighted}
    with network.plan.lock, np.errstate(all='ignore'):
        for step, index in zip(range(steps), batches, strict=False):
            loss = network.plan.learn(samples, index)[0] / len(index)
            loss -= sum(layer.penalty() for layer in network.layers if layer.l2 > 0)
            if not (math.isfinite(loss) and update.gradients_are_finite()):
                return Trial(network, np.array(losses), False, {})
            losses.append(loss)
            watched = weighted if step % 10 == 9 else []
            before = [layer.weights.copy() for layer in watched]
            update(rate)
            for layer, weights in zip(watched, before, strict=True):
                change = np.linalg.norm(layer.weights - weights)
                ratios[layer.index].append(change / max(np.linalg.norm(weights), 1e-30))
    return Trial(network, np.array(losses), True, {i: float(np.median(r)) for i, r in ratios.items() if r})


class Trials:
    """Training of copies of a network, and what it shows.

    Args:
        network: stays as it is.
        samples: all of them.
        rate, batch_size: as `doctor` takes them.
        generator: that samples are drawn with.
    """

    def __init__(self, network, samples, rate, batch_size, generator):
        self._network, self._samples = network, samples
        self._rate, self._batch_size, self._generator = rate, batch_size, generator
        self.half = None

    def examine(self):
        """Return findings."""
        findings, learns = self._one_batch()
        if learns and len(self._samples) >= 4:
            findings += self._half()
        return findings

    def _one_batch(self):
        """Return findings, and whether the network learns one small batch at the rate that was given."""
        index = self._batch()
        chance = _chance(self._network, self._samples, index)
        if chance == 0:
            return [], True
        trial = self._on(self._network, index, self._rate, STEPS)
        if not trial.diverged and _end(trial, self._samples, index) < max(LEARNED * chance, 1e-12):
            return [], True
        fallen = trial.finite and trial.end < FALLEN * trial.losses[0]
        still_falling = fallen and trial.end < 0.9 * trial.losses[len(trial.losses) // 2 :][:10].mean()
        if still_falling and not trial.diverged:
            return [], True
        careful = copy.deepcopy(self._network)
        careful.compile(careful.loss, Adam())
        other = self._on(careful, index, ADAM_RATE, ADAM_STEPS)
        best = min((_end(t, self._samples, index) for t in (trial, other) if t.finite), default=math.inf)
        if other.finite and best < max(2 * LEARNED * chance, 1e-12):
            return ([], True) if fallen and not trial.diverged else (self._rate_findings(trial), False)
        return [_cannot_learn(len(index), chance, best)], False

    def _rate_findings(self, trial):
        """Return what the range test says of a rate that one batch is not learned at, while Adam learns it."""
        found = find_learning_rate(self._network, self._samples.x, self._samples.targets, self._batch_size)
        suggestion = found.suggestion
        high = trial.diverged or trial.losses.max() > 2 * trial.losses[0]
        if suggestion is not None:
            high = high or self._rate > TOO_HIGH * suggestion
        elif not high and trial.end > trial.losses[0]:
            high = True
        if not high and suggestion is not None and self._rate * TOO_LOW > suggestion:
            return []
        what = 'the loss is not finite any more' if not trial.finite else f'the loss ends at {trial.end:.3g}'
        begins = f'from {trial.losses[0]:.3g}' if len(trial.losses) else 'at once'
        return [
            Finding(
                'rate_too_high' if high else 'rate_too_low',
                'error' if high else 'warning',
                None,
                f'The learning rate {self._rate:g} is too {"high" if high else "low"}: in {len(trial.losses)} steps on '
                f'one small batch, {begins}, {what}. With Adam at {ADAM_RATE:g} the network learns it.',
                f'Try {suggestion:.2g}: {found.message}.'
                if suggestion is not None
                else f'Try {"a tenth" if high else "ten times"} of it ({found.message}).',
                {'rate': self._rate, 'suggestion': suggestion, 'start': float(trial.losses[0]) if len(trial.losses) else math.nan, 'end': trial.end},
            )
        ]

    def _half(self):
        """Train on half of the samples and see what holds for the other half."""
        order = self._generator.permutation(len(self._samples))
        own, others = np.sort(order[::2]), np.sort(order[1::2][:MOST_HELD_OUT])
        network, batches = copy.deepcopy(self._network), self._batches(own)
        certainty, steps, losses = _certainty(network, self._samples, others, self._generator), 0, []
        trial = None
        while steps < HALF_STEPS and (trial is None or abs(certainty) < CERTAIN):
            trial = train(network, self._samples, batches, self._rate, LOOK_EVERY)
            steps += LOOK_EVERY
            losses.append(trial.losses)
            if trial.diverged:
                break
            certainty = _certainty(network, self._samples, others, self._generator)
        self.half = trial
        losses = np.concatenate(losses)
        findings = []
        if not trial.finite or trial.losses[-1] > DIVERGED * losses[0]:
            found = find_learning_rate(self._network, self._samples.x, self._samples.targets, self._batch_size)
            return [_diverges(self._rate, losses, found)]
        large = {index: ratio for index, ratio in trial.updates.items() if ratio > LARGE_UPDATE}
        if large:
            findings.append(_large_update(network, large))
        if abs(certainty) < CERTAIN and len(others) >= FEWEST:
            findings.append(_unrelated(len(own), len(others), steps, certainty))
        return findings

    def _on(self, network, index, rate, steps):
        return train(copy.deepcopy(network), self._samples, itertools.repeat(index), rate, steps)

    def _batch(self):
        """Return some samples, few enough that the weights outnumber their targets."""
        parameters = sum(p.value.size for p in self._network.trainable_parameters)
        outputs = math.prod(self._network.layers[-1].output_shape)
        size = max(2, min(BATCH, parameters // (2 * outputs), len(self._samples)))
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
    """Return by how many standard deviations the loss is smaller with the samples' own targets than with exchanged ones.

    A permutation test: where targets do not follow from samples, exchanging them changes nothing, whatever the
    network. Source: Good, "Permutation, parametric, and bootstrap tests of hypotheses", 2005, chapter 3.
    """
    outputs = np.asarray(_outputs(network, samples, index), np.float64).reshape(len(index), -1)
    targets = samples.targets[index]
    if isinstance(network.loss, CategoricalCrossEntropy):
        answers = np.log(np.maximum(outputs, 1e-7))

        def agreement(order):
            return answers[np.arange(len(index)), targets[order]].mean()

    else:
        answers = np.asarray(targets, np.float64).reshape(len(index), -1)
        answers, outputs = answers - answers.mean(axis=0), outputs - outputs.mean(axis=0)

        def agreement(order):
            return (outputs * answers[order]).mean()

    exchanged = [agreement(generator.permutation(len(index))) for _ in range(PERMUTATIONS)]
    deviation = np.std(exchanged)
    own = agreement(np.arange(len(index)))
    return 0.0 if not deviation > 0 else float((own - np.mean(exchanged)) / deviation)


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
        f'{size} samples are not learned by heart: {STEPS} steps at the rate that was given, and {ADAM_STEPS} of Adam, '
        f'leave a loss of {best:.3g}, where the same answer for all costs {chance:.3g}.',
        'See to the other findings first; else more units or layers, less Dropout or l2; or equal samples have '
        'different targets.',
        {'samples': size, 'loss': best, 'chance': chance},
    )


def _diverges(rate, losses, found):
    return Finding(
        'rate_too_high',
        'error',
        None,
        f'Training diverges: at the learning rate {rate:g} the loss goes from {losses[0]:.3g} to '
        f'{losses[-1]:.3g} and is not finite soon, within {len(losses)} steps.',
        'Try a tenth of it.' if found.suggestion is None else f'Try {found.suggestion:.2g}: {found.message}.',
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
