"""Findings from trial training: whether one batch can be overfitted, the learning rate, and generalization."""

import copy
import itertools
import math

import numpy as np

from cnnx.diagnostics.doctor.findings import Finding
from cnnx.diagnostics.doctor.steps import fit_beyond_chance, loss_left, loss_of_chance, train, with_adam
from cnnx.diagnostics.lr_finder import find_learning_rate

# Overfitting one small batch: its size, the steps at the given rate, and if these fail, steps and rates of Adam.
BATCH, STEPS, ADAM_STEPS, ADAM_RATES = 16, 150, 200, (0.003, 0.02)
# The least number of parameters for each target number in the batch.
PARAMETERS = 10
# A batch is learned at a loss of less than LEARNED times that of a constant prediction, and not learned at more than
# NOT_LEARNED times.
LEARNED, NOT_LEARNED = 0.1, 0.3
# A loss has fallen if it is less than this fraction of the first one.
FALLEN = 0.8
# A rate is too low, or too high, if it is so many times smaller, or larger, than the suggestion of the range test. It
# is too low only if each step changes all weights by less than SMALL_UPDATE of their norm. More than LARGE_UPDATE is a
# finding; about 1e-3 is usual.
TOO_LOW, TOO_HIGH, SMALL_UPDATE, LARGE_UPDATE = 10, 10, 1e-4, 0.3
# Training on a part of the samples: its size, and how often, and every how many steps, predictions for the others are
# checked.
PART, PART_CHECKS, CHECK_EVERY = 64, 4, 40
# Overfitting the part with Adam: the number of checks, and the loss at which it is overfitted, as a fraction of that of
# a constant prediction.
OVERFIT_CHECKS, OVERFITTED = 12, 0.3
# Predictions that fit by more than CERTAIN standard deviations are better than chance, by less than UNCERTAIN they are
# not; with fewer than FEWEST samples held out, nothing is concluded.
CERTAIN, UNCERTAIN, FEWEST = 3.5, 2, 50
# The largest number of samples held out, and of outputs for them.
MOST_HELD_OUT, MOST_NUMBERS = 1000, 1_000_000
INFINITE = 'becomes NaN or infinite'


class Trials:
    """Trial training of copies of a network.

    Args:
        network: the network, which stays as it is.
        data: an `ArrayData` of all samples.
        rate, batch_size: as for `doctor`.
        generator: for drawing samples.

    Attributes:
        trial: the last `Trial` on a part of the samples, or None.
    """

    def __init__(self, network, data, rate, batch_size, generator):
        self._network, self._data = network, data
        self._rate, self._batch_size, self._generator = rate, batch_size, generator
        self.trial = None

    def examine(self):
        """Return findings from all trials."""
        findings, can_learn = self._one_batch()
        if can_learn and len(self._data) >= 4:
            findings += self._part()
        return findings

    def _one_batch(self):
        """Return findings, and whether the network learns one small batch at the given rate."""
        index = self._batch()
        chance = loss_of_chance(self._network, self._data, index)
        if chance == 0:
            return [], True
        trial = self._on(self._network, index, self._rate, STEPS, chance)
        if not trial.diverged and loss_left(trial, self._data, index) < max(LEARNED * chance, 1e-12):
            return [], True
        fallen = trial.finite and trial.end < FALLEN * trial.losses[0]
        slow = max(trial.updates.values(), default=1) < SMALL_UPDATE
        working = fallen and not (trial.diverged or slow)
        if working and trial.still_falling:
            return [], True
        others = [trial]
        for rate in ADAM_RATES:
            others.append(self._on(with_adam(self._network), index, rate, ADAM_STEPS, chance))
            if others[-1].finite and loss_left(others[-1], self._data, index) < 2 * LEARNED * chance:
                return self._rate_findings(trial, slow, rate, chance)
        best = min((loss_left(t, self._data, index) for t in others if t.finite), default=math.inf)
        if best < NOT_LEARNED * chance or any(t.finite and t.still_falling for t in others):
            return [], working
        return [_cannot_learn(len(index), chance, best)], False

    def _rate_findings(self, trial, slow, rate, chance):
        """Return findings if Adam learns one batch and the given rate does not, and whether the given rate works."""
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
        ends = f'goes from {start:.3g} to {trial.end:.3g}' if trial.finite else INFINITE
        what = f'in {len(trial.losses)} steps on one small batch the loss {ends}, while Adam learns it at {rate:g}'
        return [_wrong_rate(self._rate, high, what, found)], False

    def _range_test(self):
        x, targets = self._data.x, self._data.targets
        return find_learning_rate(self._network, x, targets, self._batch_size)

    def _part(self):
        """Train on a part of the samples, check predictions for the others, and return findings."""
        order = self._generator.permutation(len(self._data))
        size = min(max(PART, 2 * self._batch_size), len(order) // 2)
        most = max(FEWEST, min(MOST_HELD_OUT, MOST_NUMBERS // math.prod(self._network.layers[-1].shape)))
        own, others = np.sort(order[:size]), np.sort(order[size:][:most])
        network, batches = copy.deepcopy(self._network), self._batches(own)
        chance = loss_of_chance(network, self._data, own)
        for _ in range(PART_CHECKS):
            self.trial = trial = train(network, self._data, batches, self._rate, CHECK_EVERY, chance)
            if trial.jumped:
                found = self._range_test()
                if trial.finite and (found.suggestion or 0) > self._rate:
                    return []
                ends = f'rises from {trial.usual:.3g} to {trial.highest:.3g}' if trial.finite else INFINITE
                what = f'in {CHECK_EVERY} steps on {len(own)} samples the loss {ends}'
                return [_wrong_rate(self._rate, True, what, found)]
            if fit_beyond_chance(network, self._data, others, self._generator) > CERTAIN:
                return self._large_updates()
        return [*self._large_updates(), *self._unrelated_targets(own, others)]

    def _unrelated_targets(self, own, others):
        """Yield a finding if Adam overfits a part, and predictions for the others are no better than chance."""
        if len(others) < FEWEST:
            return
        network, batches = with_adam(self._network), self._batches(own)
        chance = loss_of_chance(network, self._data, own)
        for check in range(1, OVERFIT_CHECKS + 1):
            trial = train(network, self._data, batches, ADAM_RATES[0], CHECK_EVERY, chance)
            if trial.diverged:
                return
            certainty = fit_beyond_chance(network, self._data, others, self._generator)
            if certainty > CERTAIN:
                return
            if loss_left(trial, self._data, own) < OVERFITTED * chance:
                if certainty < UNCERTAIN:
                    yield _unrelated(len(own), len(others), check * CHECK_EVERY, certainty)
                return

    def _large_updates(self):
        large = {index: ratio for index, ratio in self.trial.updates.items() if ratio > LARGE_UPDATE}
        return [_large_update(self._network, large)] if large else []

    def _on(self, network, index, rate, steps, chance):
        return train(copy.deepcopy(network), self._data, itertools.repeat(index), rate, steps, chance)

    def _batch(self):
        """Draw the indices of a few samples, so few that the network has enough parameters to overfit them."""
        parameters = sum(p.value.size for p in self._network.trainable_parameters)
        outputs = math.prod(self._network.layers[-1].shape)
        size = max(2, min(BATCH, parameters // (PARAMETERS * outputs), len(self._data)))
        return self._generator.permutation(len(self._data))[:size]

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
        f'The network cannot overfit {size} samples: {STEPS} steps at the given learning rate, and {ADAM_STEPS} of '
        f'Adam at {ADAM_RATES[0]} or {ADAM_RATES[1]}, leave a loss of {best:.3g}. A constant prediction has '
        f'{chance:.3g}.',
        'Fix the other findings first, if there are any. Else try more units or layers, less Dropout or l2, or check '
        'whether equal samples have different targets.',
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
        f'A step changes the weights of {network.layers[index].where} by {large[index]:.2g} of their norm; about 1e-3 '
        'is usual.',
        'Try a smaller learning rate, or check the scale of x.',
        {network.layers[i].where: ratio for i, ratio in large.items()},
    )


def _unrelated(own, others, steps, certainty):
    return Finding(
        'targets_unrelated',
        'warning',
        None,
        f'The network overfits {own:,} samples in {steps} steps, but its predictions for {others:,} others are no '
        f'better than chance: they fit the targets as well as permuted ones ({certainty:+.1f} standard deviations).',
        'Look at some samples with their targets: x and y may have been shuffled separately, or belong to other data.',
        {'steps': steps, 'standard_deviations': certainty},
    )
