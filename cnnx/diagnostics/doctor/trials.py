"""Findings from trial training: whether a network learns at the given rate, and if not, what keeps it from learning."""

import copy
import math

import numpy as np

from cnnx.diagnostics.doctor.findings import Finding
from cnnx.diagnostics.doctor.steps import fit_beyond_chance, loss_of_chance, train, with_adam
from cnnx.diagnostics.lr_finder import LEAST_STEPS, find_learning_rate

# Training as the user will: it goes on to the next of these numbers of steps unless the outcome is clear. Finding the
# cause takes no more steps than are left of the last one.
STEPS = 100, 200, 300
# A network has learned if its loss is at most LEARNED times that of a constant prediction, clearly at CLEARLY times.
LEARNED, CLEARLY = 0.95, 0.5
# Whether a network learns is judged after at least so many steps, if the epochs are shorter.
LEAST_TOTAL = 50
# A range test has at most so many steps. Rates of more than TOO_HIGH times its suggestion are too high.
RANGE_TEST, TOO_HIGH = 100, 10
# Overfitting a part of the samples with Adam: their number, steps, rate, and the loss at which the network can learn
# them, and at which it has overfitted them, as fractions of that of a constant prediction. The first one also is what a
# forecast has to reach where predictions for samples held out are no better than chance.
PART, ADAM_STEPS, ADAM_RATE, LEARNABLE, OVERFITTED = 32, 100, 0.003, 0.8, 0.5
# A rate is too low if all steps together change the weights of each layer by less than this fraction, or if so many
# times the steps would be enough.
HARDLY_MOVED, MANY_TIMES = 0.01, 10
# Else it is too high if the loss stays above that of a constant prediction.
ABOVE = 1.02
# Predictions that fit by more than CERTAIN standard deviations are better than chance, by less than UNCERTAIN they are
# not; with fewer than FEWEST samples held out, nothing is concluded.
CERTAIN, UNCERTAIN, FEWEST = 3.5, 2, 50
# The largest number of samples held out, and of outputs for them.
MOST_HELD_OUT, MOST_NUMBERS = 1000, 1_000_000


class Trials:
    """Trial training of copies of a network.

    Args:
        network: the network, which stays as it is.
        data: an `ArrayData` of all samples.
        rate, batch_size, epochs: as for `doctor`.
        generator: for drawing samples.

    Attributes:
        trial: the `Trial` at the given rate, or None.
    """

    def __init__(self, network, data, rate, batch_size, epochs, generator):
        self._network, self._data, self._rate = network, data, rate
        self._batch_size, self._epochs, self._generator = batch_size, epochs, generator
        self._total = max(LEAST_TOTAL, epochs * data.steps(batch_size))
        n = len(data)
        most = max(FEWEST, min(MOST_HELD_OUT, MOST_NUMBERS // math.prod(network.layers[-1].shape)))
        order, held_out = generator.permutation(n), min(max(n // 5, min(FEWEST, n // 2)), most)
        self._own, self._others = order[held_out:], np.sort(order[:held_out])
        self.trial = None

    def examine(self):
        """Train as the user will, and return findings about what this leads to."""
        self._chance = loss_of_chance(self._network, self._data, self._own[:MOST_HELD_OUT])
        if not self._chance > 0:  # equal targets, or a loss of one's own that says nothing
            return []
        batches, network = self._batches(self._own), copy.deepcopy(self._network)
        self._train(network, batches, STEPS[0])
        if self._loss > CLEARLY:
            self._train(network, batches, STEPS[1])
        if self._fails and self.trial.jumped:
            return [self._wrong_rate(self._range_test())]
        certainty = self._certainty(network)
        if certainty < CERTAIN:
            return self._no_relation(certainty)
        if not self._fails and self._loss > CLEARLY:
            self._train(network, batches, STEPS[2])
        return [self._wrong_rate(self._range_test())] if self._fails else []

    def _train(self, network, batches, steps):
        """Continue the trial up to so many steps, or as many as the user's run has."""
        if self.trial is None or self.trial.finite:
            more = min(steps, self._total) - (0 if self.trial is None else len(self.trial.losses))
            self.trial = train(network, self._data, batches, self._rate, more, self._chance, self.trial)

    @property
    def _loss(self):
        """The loss at the end of the trial, as a fraction of that of a constant prediction."""
        return self.trial.end / self._chance

    @property
    def _fails(self):
        """Whether the network will not have learned at the end of the user's run."""
        trial = self.trial
        return not trial.finite or not (
            self._loss <= LEARNED or (self._forecast(self._total) <= LEARNED * self._chance and not trial.jumped)
        )

    def _forecast(self, steps):
        return self.trial.forecast(steps, self._chance)

    def _range_test(self):
        """Return a range test, or None if too few steps are left for it."""
        steps = min(RANGE_TEST, STEPS[-1] - len(self.trial.losses))
        if steps < LEAST_STEPS:
            return None
        x, targets = self._data.x, self._data.targets
        return find_learning_rate(self._network, x, targets, batch_size=self._batch_size, steps=steps)

    def _certainty(self, network):
        """Return by how many standard deviations predictions of samples that were held out are better than chance."""
        if len(self._others) < FEWEST:
            return math.inf
        return fit_beyond_chance(network, self._data, self._others, self._generator)

    def _no_relation(self, certainty):
        """Return findings about a trial that predicts samples held out no better than chance."""
        if self._loss <= LEARNED:
            steps = len(self.trial.losses)
            return [_unrelated(len(self._own), len(self._others), steps, certainty)] if certainty < UNCERTAIN else []
        related = certainty >= UNCERTAIN
        fails = self._fails or (not related and self._forecast(self._total) > LEARNABLE * self._chance)
        own, network = self._own[:PART], with_adam(self._network)
        chance = loss_of_chance(network, self._data, own)
        trial = train(network, self._data, self._batches(own), ADAM_RATE, ADAM_STEPS, chance)
        certainty = self._certainty(network)
        if trial.finite and certainty < UNCERTAIN and trial.end < OVERFITTED * chance:
            return [_unrelated(len(own), len(self._others), ADAM_STEPS, certainty)]
        if not fails:
            return []
        if trial.finite and trial.end < LEARNABLE * chance:
            return [self._wrong_rate(None, related)]
        return [self._cannot_learn(len(own), trial.end if trial.finite else math.inf)]

    def _batches(self, own):
        size = min(self._batch_size, len(own))
        while True:
            order = self._generator.permutation(own)
            for first in range(0, len(order) - size + 1, size):
                yield order[first : first + size]

    def _wrong_rate(self, found, related=True):
        """Return a finding about a rate at which the network does not learn.

        Args:
            found: a range test, or None.
            related: whether predictions for samples that were held out are better than chance.
        """
        trial, rate, suggestion = self.trial, self._rate, None if found is None else found.suggestion
        if suggestion is None:
            low = not trial.jumped and self._too_slow(related)
            high = not low and (trial.jumped or trial.end > ABOVE * self._chance)
        else:
            high = trial.jumped or rate > TOO_HIGH * suggestion
            low = not high and rate < suggestion
        if suggestion is not None and not (trial.jumped and suggestion > rate):
            advice = f'Try {suggestion:.2g}: {found.message}.'
        else:
            other = 'a tenth of it' if high else 'ten times it, or more epochs' if low else 'a tenth and ten times it'
            advice = f'Try {other}; net.find_learning_rate(x, y) tries a range of rates.'
        values = {'rate': rate, 'suggestion': suggestion, 'loss': trial.end, 'chance': self._chance}
        if not (high or low):
            what = f'The network does not learn at the learning rate {rate:g}: {self._outcome()}.'
            return Finding('no_progress', 'error', None, what, advice, values)
        where = 'high' if high else 'low'
        what = f'The learning rate {rate:g} is too {where}: {self._outcome()}.'
        return Finding(f'rate_too_{where}', 'error', None, what, advice, values)

    def _too_slow(self, related):
        trial, moved = self.trial, 0
        for before, after in zip(self._network.trainable_parameters, trial.network.trainable_parameters, strict=True):
            if before.value.ndim > 1:  # weights
                change = np.linalg.norm(after.value - before.value)
                moved = max(moved, change / max(np.linalg.norm(before.value), 1e-30))
        enough = self._forecast(MANY_TIMES * len(trial.losses)) <= LEARNED * self._chance
        return moved < HARDLY_MOVED or (related and enough)

    def _outcome(self):
        trial, steps = self.trial, len(self.trial.losses)
        if not trial.finite:
            return f'after {steps} steps the loss becomes NaN or infinite'
        guess = f'a constant prediction has {self._chance:.3g}'
        if trial.jumped:
            return f'in {steps} steps the loss rises to {trial.highest:.3g}, and ends at {trial.end:.3g}; {guess}'
        after = f'; {self._epochs} epochs would bring it to {self._forecast(self._total):.3g}'
        return f'in {steps} steps the loss goes from {trial.losses[:10].mean():.3g} to {trial.end:.3g}{after}; {guess}'

    def _cannot_learn(self, size, loss):
        return Finding(
            'cannot_overfit',
            'error',
            None,
            f'The network does not learn: {self._outcome()}. It cannot overfit {size} samples either: {ADAM_STEPS} '
            f'steps of Adam at {ADAM_RATE} leave a loss of {loss:.3g}.',
            'Fix the other findings first, if there are any. Else try other initial weights, more units or layers, '
            'BatchNormalization, less Dropout or l2.',
            {'samples': size, 'loss': loss, 'chance': self._chance},
        )


def _unrelated(own, others, steps, certainty):
    return Finding(
        'targets_unrelated',
        'warning',
        None,
        f'The network fits {own:,} samples in {steps} steps, but its predictions for {others:,} others are no '
        f'better than chance: they fit the targets as well as permuted ones ({certainty:+.1f} standard deviations).',
        'Look at some samples with their targets: x and y may have been shuffled separately, or belong to other data.',
        {'steps': steps, 'standard_deviations': certainty},
    )
