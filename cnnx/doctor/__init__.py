"""What is wrong with a training set-up, and what to do about it."""

import copy

import numpy as np

from cnnx.arrays import positive
from cnnx.doctor.data import examine_data
from cnnx.doctor.findings import Diagnosis, Finding, Row
from cnnx.doctor.signals import Signals, examine_signals, idle_units
from cnnx.doctor.structure import examine_structure
from cnnx.doctor.trials import Trials
from cnnx.geometry import is_whole, positive_int
from cnnx.samples import Samples

__all__ = ['Diagnosis', 'Finding', 'Row', 'doctor']

# The samples of the first pass, and the numbers in them.
FIRST, MOST_NUMBERS = 256, 1_000_000


def doctor(network, x, y, *, learning_rate=None, batch_size=32, seed=0):
    network.needs_loss('doctor')
    batch_size = positive_int(batch_size, 'batch_size')
    if learning_rate is None:
        learning_rate = network.optimizer.usual_learning_rate
    learning_rate = positive(learning_rate, 'learning_rate')
    if not is_whole(seed) or seed < 0:
        raise ValueError(f'seed: expected a whole number of at least 0, got {seed!r}')
    network, generator = copy.deepcopy(network), np.random.default_rng(seed)
    samples = Samples(network, x, y)
    findings = [*examine_data(network, samples), *examine_structure(network)]
    tried = f'{len(samples):,} samples, {batch_size} to a step, learning rate {learning_rate:g}'
    names = {finding.name for finding in findings}
    if names & {'input_not_finite', 'targets_not_finite', 'weights_not_finite', 'input_equal'}:
        return Diagnosis(findings, [], f'{tried}; nothing was trained')
    size = max(2, MOST_NUMBERS // max(1, samples.x[0].size))
    index = generator.permutation(len(samples))[: min(FIRST, size)]
    first = Signals(copy.deepcopy(network), samples, index)
    found = examine_signals(network, first)
    if 'weights_equal' in names:
        found = [finding for finding in found if finding.name != 'no_gradient']
    findings += found
    rows = first.rows
    if names & {'nothing_learns', 'weights_equal'} or {f.name for f in found} & {'loss_not_finite'}:
        return Diagnosis(findings, list(rows.values()), f'{tried}; nothing was trained')
    trials = Trials(network, samples, learning_rate, min(batch_size, len(samples)), generator)
    findings += trials.examine()
    if trials.half is not None and trials.half.finite:
        later = Signals(copy.deepcopy(trials.half.network), samples, index).idle()
        died = {i: share for i, share in later.items() if first.rows[i].idle <= 0.5}
        findings += idle_units(network, died, 'after some steps')
        for index, share in later.items():
            rows[index].idle_later = share
        for index, ratio in trials.half.updates.items():
            rows[index].update = ratio
    return Diagnosis(findings, list(rows.values()), tried)
