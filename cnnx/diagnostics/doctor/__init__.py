"""What is wrong with a training set-up, and what to do about it."""

import copy
from dataclasses import replace

import numpy as np

from cnnx._util.validation import positive, positive_int, whole_number
from cnnx.diagnostics.doctor.data import examine_data
from cnnx.diagnostics.doctor.findings import Diagnosis, Finding, Row
from cnnx.diagnostics.doctor.signals import IDLE, Signals, examine_signals, idle_units
from cnnx.diagnostics.doctor.structure import examine_structure
from cnnx.diagnostics.doctor.trials import Trials
from cnnx.training.array_data import ArrayData

__all__ = ['Diagnosis', 'Finding', 'Row', 'doctor']

# The samples of the first pass, and the numbers in them.
FIRST, MOST_NUMBERS = 256, 1_000_000
# Findings that say all there is to say: no pass would mean anything, or no training.
NO_PASS = {'input_not_finite', 'targets_not_finite', 'weights_not_finite', 'input_equal'}
NO_TRAINING = {'nothing_learns', 'weights_equal'}
SCALE = {'input_scale', 'input_columns', 'target_scale'}


def doctor(network, x, y, *, learning_rate=None, batch_size=32, seed=0):
    """Say what is wrong with a training set-up, and what to do about it; the network stays as it is.

    It looks at x and y (at 10,000 samples, if there are more), at the layers and weights, at one pass over at most 256
    samples, and at some steps of training, on copies: 150 on at most 16 samples, which a network that works learns by
    heart at a rate that works, and 40 on a part of the samples, which should teach something of the others. What looks
    wrong is looked into by at most 1,100 steps more: 400 with Adam on the few samples, which tell a wrong rate from a
    network that cannot learn, 110 of `find_learning_rate`, 120 on the part, and 480 that learn the part by heart with
    Adam. For LeNet-5 and 1,000 images that takes half a second, or two; on the NumPy kernels, ten times as long.

    A finding is an error where training cannot work, a warning where it is likely to suffer, else a note. Thresholds
    are such that what works raises no alarm; so a set-up that is hardly wrong passes. Labels count as unrelated where
    the part was learned by heart, and predictions for the others fit their targets no better than exchanged ones.

    Source: Karpathy, "A recipe for training neural networks", 2019, for the loss at the beginning, learning one batch
    by heart, and looking at the data; the notes of Stanford's CS231n, cs231n.github.io/neural-networks-3, for the
    ratio of updates to weights, and neural-networks-1, for dead units; Glorot and Bengio, "Understanding the
    difficulty of training deep feedforward neural networks", 2010, for activations and gradients layer by layer.

    Args:
        network: a compiled `cnnx.Network`.
        x, y: samples and targets, as `train` takes them; all that are to be trained on, for what is said of them.
        learning_rate: the rate to be trained at, a number more than 0; by default the optimizer's usual one.
        batch_size: samples to a step; all there are, if they are fewer.
        seed: of the draw of samples.

    Returns:
        A `Diagnosis`: true where there are no errors and warnings, a report when printed.

    Raises:
        ValueError: an argument is wrong, or x and y do not fit the network or each other.
    """
    network.needs_loss('doctor')
    batch_size = positive_int(batch_size, 'batch_size')
    if learning_rate is None:
        learning_rate = network.optimizer.usual_learning_rate
    learning_rate = positive(learning_rate, 'learning_rate')
    generator = np.random.default_rng(whole_number(seed, 'seed'))
    network = copy.deepcopy(network)
    samples = ArrayData(network, x, y)
    tried = f'{len(samples):,} samples, {batch_size} to a step, learning rate {learning_rate:g}'
    trials = Trials(network, samples, learning_rate, min(batch_size, len(samples)), generator)
    with np.errstate(all='ignore'):  # what overflows is told of
        findings, rows, trained = _examine(network, samples, trials, generator)
    return Diagnosis(findings, rows, tried if trained else f'{tried}; nothing was trained')


def _examine(network, samples, trials, generator):
    """Return findings, rows of layers, and whether it came to training."""
    findings = [*examine_data(network, samples), *examine_structure(network)]
    names = {finding.name for finding in findings}
    if names & NO_PASS:
        return findings, [], False
    most = max(2, MOST_NUMBERS // max(1, samples.x[0].size))
    index = generator.permutation(len(samples))[: min(FIRST, most)]
    first = Signals(copy.deepcopy(network), samples, index)
    found = examine_signals(network, first)
    if 'weights_equal' in names:  # which is why
        found = [finding for finding in found if finding.name not in ('dead_units', 'no_gradient')]
    findings += found
    rows = list(first.rows.values())
    if names & NO_TRAINING or any(finding.name == 'loss_not_finite' for finding in found):
        return findings, rows, False
    findings += [_after_scale(finding, names) for finding in trials.examine()]
    if trials.trial is not None and trials.trial.finite:
        findings += _later(network, samples, trials.trial, index, first.rows)
    return findings, rows, True


def _later(network, samples, trial, index, rows):
    """Add to the rows what steps of training made of the layers; return findings about units that died in them."""
    later = Signals(copy.deepcopy(trial.network), samples, index).idle()
    for place, share in later.items():
        rows[place].idle_later = share
    for place, ratio in trial.updates.items():
        rows[place].update = ratio
    return list(
        idle_units(network, {i: share for i, share in later.items() if rows[i].idle <= IDLE}, 'after some steps')
    )


def _after_scale(finding, names):
    """Return a finding with other advice where numbers that are too large come first."""
    if finding.name == 'rate_too_high' and names & SCALE:
        return replace(finding, advice='First bring the numbers to scale, as the other finding says; then ask again.')
    return finding
