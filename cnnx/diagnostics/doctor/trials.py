"""What training shows in some steps: whether one batch can be learned, at this rate, and what of it holds elsewhere."""

import copy
import itertools
import math

import numpy as np

from cnnx.diagnostics.doctor.findings import Finding
from cnnx.diagnostics.doctor.steps import fit_beyond_chance, loss_left, loss_of_chance, train, with_adam
from cnnx.diagnostics.lr_finder import find_learning_rate

# Of training on one small batch at the rate that was given; and with Adam, where that does not learn it.
BATCH, STEPS, ADAM_STEPS, ADAM_RATES = 16, 150, 200, (0.003, 0.02)
# So many parameters to each number that is to be learned by heart.
PARAMETERS = 10
# Learned is a loss of less than this share of what choosing all answers alike costs; and not learned, more than that.
LEARNED, NOT_LEARNED = 0.1, 0.3
# A loss that has not come below this share of the first has not fallen.
FALLEN = 0.8
# A rate is too low, or high, that is so many times off what the range test suggests; and too low only where no weights
# change by more than this share of themselves in a step; nor should they by so much. About 1e-3 is usual.
TOO_LOW, TOO_HIGH, SMALL_UPDATE, LARGE_UPDATE = 10, 10, 1e-4, 0.3
# Of training on a part of the samples: how many, and how often it is looked at what holds for others.
PART, PART_LOOKS, LOOK_EVERY = 64, 4, 40
# And of learning the part by heart with Adam, which is a loss of less than this share of chance.
HEART_LOOKS, BY_HEART = 12, 0.3
# Standard deviations from chance that show that targets follow from samples, or do not; how few samples show nothing.
CERTAIN, UNCERTAIN, FEWEST = 3.5, 2, 50
MOST_HELD_OUT = 1000


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
        chance = loss_of_chance(self._network, self._samples, index)
        if chance == 0:
            return [], True
        trial = self._on(self._network, index, self._rate, STEPS, chance)
        if not trial.diverged and loss_left(trial, self._samples, index) < max(LEARNED * chance, 1e-12):
            return [], True
        fallen = trial.finite and trial.end < FALLEN * trial.losses[0]
        slow = max(trial.updates.values(), default=1) < SMALL_UPDATE
        working = fallen and not (trial.diverged or slow)
        if working and trial.still_falling:
            return [], True
        others = [trial]
        for rate in ADAM_RATES:
            others.append(self._on(with_adam(self._network), index, rate, ADAM_STEPS, chance))
            if others[-1].finite and loss_left(others[-1], self._samples, index) < 2 * LEARNED * chance:
                return self._rate_findings(trial, slow, rate, chance)
        best = min((loss_left(t, self._samples, index) for t in others if t.finite), default=math.inf)
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
        chance = loss_of_chance(network, self._samples, own)
        for _ in range(PART_LOOKS):
            self.trial = trial = train(network, self._samples, batches, self._rate, LOOK_EVERY, chance)
            if trial.jumped:
                found = self._range_test()
                if trial.finite and (found.suggestion or 0) > self._rate:
                    return []
                what = f'comes to {trial.highest:.3g}, from {trial.usual:.3g}' if trial.finite else 'is not finite soon'
                what = f'in {LOOK_EVERY} steps on {len(own)} samples the loss {what}'
                return [_wrong_rate(self._rate, True, what, found)]
            if fit_beyond_chance(network, self._samples, others, self._generator) > CERTAIN:
                return self._large_updates()
        return [*self._large_updates(), *self._unrelated(own, others)]

    def _unrelated(self, own, others):
        """Yield that what Adam learns of a part by heart does not hold for others, where it does not."""
        if len(others) < FEWEST:
            return
        network, batches = with_adam(self._network), self._batches(own)
        chance = loss_of_chance(network, self._samples, own)
        for look in range(1, HEART_LOOKS + 1):
            trial = train(network, self._samples, batches, ADAM_RATES[0], LOOK_EVERY, chance)
            if trial.diverged:
                return
            certainty = fit_beyond_chance(network, self._samples, others, self._generator)
            if certainty > CERTAIN:
                return
            if loss_left(trial, self._samples, own) < BY_HEART * chance:
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
        outputs = math.prod(self._network.layers[-1].shape)
        size = max(2, min(BATCH, parameters // (PARAMETERS * outputs), len(self._samples)))
        return self._generator.permutation(len(self._samples))[:size]

    def _batches(self, own):
        size = min(self._batch_size, len(own))
        while True:
            order = self._generator.permutation(own)
            for first in range(0, len(order) - size + 1, size):
                yield order[first : first + size]


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
