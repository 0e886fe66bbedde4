"""Doctor: diagnosis of a training set-up, with advice."""

import copy
from dataclasses import replace

import numpy as np

from cnnx._util.validation import positive, positive_int, whole_number
from cnnx.diagnostics.doctor.data import examine_data
from cnnx.diagnostics.doctor.findings import Diagnosis, Finding, Row
from cnnx.diagnostics.doctor.first_pass import IDLE, FirstPass, examine_first_pass, idle_units
from cnnx.diagnostics.doctor.structure import examine_structure
from cnnx.diagnostics.doctor.trials import Trials
from cnnx.training.array_data import ArrayData

__all__ = ['Diagnosis', 'Finding', 'Row', 'doctor']

# The largest number of samples in the first pass, and of numbers in these.
FIRST, MOST_NUMBERS = 256, 1_000_000
# Of fewer samples, many units are 0 for all by chance.
LEAST_TO_DIE = 16
# After these findings, a forward pass, or training, would show nothing more.
NO_PASS = {'input_not_finite', 'targets_not_finite', 'weights_not_finite', 'input_equal'}
NO_TRAINING = {'nothing_learns', 'weights_equal'}
SCALE = {'input_scale', 'input_columns', 'target_scale'}


def doctor(network, x, y, *, learning_rate=None, batch_size=32, epochs=10, seed=0):
    """Find out what is wrong with a training set-up, and what to do about it; the network stays as it is.

    The doctor examines:

    1. x and y, at most 10,000 samples of them;
    2. layers and initial weights;
    3. loss, activations and gradients in one pass over at most 256 samples;
    4. training of a copy at the given rate: at most 300 steps on four fifths of the samples, fewer where the outcome is
       clear. The loss is continued to the end of `epochs`, and predictions for the other samples should be better
       than chance.

    Where training fails, what is left of the 300 steps serves to find the cause: a `find_learning_rate`, or steps of
    Adam on 32 samples, since targets that are unrelated to the samples can be overfitted, but not predicted. For
    LeNet-5 and 1,000 images all this takes half a second to two seconds; on the NumPy kernels, ten times as long.

    A finding is an error if training cannot work: its final loss would be above 0.95 times that of a constant
    prediction. It is a warning if training is likely to suffer, and else a note.

    Source: Karpathy, "A recipe for training neural networks", 2019, for the initial loss, overfitting one batch, and
    looking at the data; the notes of Stanford's CS231n, cs231n.github.io/neural-networks-3, for the ratio of updates
    to weights, and neural-networks-1, for dead units; Glorot and Bengio, "Understanding the difficulty of training
    deep feedforward neural networks", 2010, for activations and gradients layer by layer.

    Args:
        network: a compiled `cnnx.Network`.
        x, y: samples and targets, as `train` takes them; pass all that you train on.
        learning_rate: the learning rate that you train at, more than 0; None takes the usual one of the optimizer.
        batch_size: the number of samples in a batch; all, if there are fewer.
        epochs: how many you train for: on it depends whether a learning rate is too low.
        seed: for drawing samples.

    Returns:
        A `Diagnosis`: true if there are no errors or warnings; prints as a report.

    Raises:
        ValueError: an argument is wrong, or x and y do not fit the network or each other.
    """
    network.needs_loss('doctor')
    batch_size, epochs = positive_int(batch_size, 'batch_size'), positive_int(epochs, 'epochs')
    if learning_rate is None:
        learning_rate = network.optimizer.usual_learning_rate
    learning_rate = positive(learning_rate, 'learning_rate')
    generator = np.random.default_rng(whole_number(seed, 'seed'))
    network = copy.deepcopy(network)
    data = ArrayData(network, x, y)
    settings = f'{len(data):,} samples, batch size {batch_size}, learning rate {learning_rate:g}'
    trials = Trials(network, data, learning_rate, min(batch_size, len(data)), epochs, generator)
    with np.errstate(all='ignore'):  # overflows are among the findings
        findings, rows = _examine(network, data, trials, generator)
    if trials.trial is None:
        settings += '; nothing was trained'
    elif not trials.trial.finite:
        settings += f'; -: not measured, since the loss is NaN or infinite after {len(trials.trial.losses)} steps'
    return Diagnosis(findings, rows, settings)


def _examine(network, data, trials, generator):
    """Return the findings and the rows of layers."""
    findings = [*examine_data(network, data), *examine_structure(network)]
    names = {finding.name for finding in findings}
    if names & NO_PASS:
        return findings, []
    most = max(2, MOST_NUMBERS // max(1, data.x[0].size))
    index = generator.permutation(len(data))[: min(FIRST, most)]
    first = FirstPass(copy.deepcopy(network), data, index)
    found = examine_first_pass(network, first)
    if 'weights_equal' in names:  # the cause of these findings
        found = [finding for finding in found if finding.name not in ('dead_units', 'no_gradient')]
    findings += found
    rows = list(first.rows.values())
    if names & NO_TRAINING or any(finding.name == 'loss_not_finite' for finding in found):
        return findings, rows
    found = trials.examine()
    if trials.trial is not None and trials.trial.finite:
        died = _after_training(network, data, trials.trial, index, first.rows)
        if not found:  # it learns nevertheless
            died = [replace(f, severity='note') if f.severity == 'warning' else f for f in died]
        if len(index) >= LEAST_TO_DIE and 'rate_too_high' not in {finding.name for finding in found}:
            found += died
    return [*findings, *(_scale_first(finding, names) for finding in found)], rows


def _after_training(network, data, trial, index, rows):
    """Add idle units and updates after some training steps to the rows; return findings about units that died."""
    later = FirstPass(copy.deepcopy(trial.network), data, index).idle()
    for layer, fraction in later.items():
        rows[layer].idle_later = fraction
    for layer, ratio in trial.updates.items():
        rows[layer].update = ratio
    return list(
        idle_units(network, {i: fraction for i, fraction in later.items() if rows[i].idle <= IDLE}, 'after some steps')
    )


def _scale_first(finding, names):
    """Change the advice of a finding about the learning rate where x or y should be scaled first."""
    if finding.name == 'rate_too_high' and names & SCALE:
        return replace(finding, advice='First scale the numbers, as the other finding says; then run the doctor again.')
    return finding
