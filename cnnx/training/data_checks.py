"""Checks of samples and labels that can be used, but look wrong: pixels of 0 to 255, labels from 1, missing classes.

`train` warns of these problems, and the doctor reports them.
"""

import math
import warnings
from typing import NamedTuple

import numpy as np

from cnnx.data import DataWarning
from cnnx.layers import BatchNormalization, Convolutional, Dense
from cnnx.losses import CategoricalCrossEntropy
from cnnx.training.array_data import ArrayData

# Of the samples whose pixels are looked at, evenly spread over all: how many, and how many numbers in them.
MOST_SAMPLES, MOST_NUMBERS = 256, 1_000_000
BYTES = 'These look like pixels of 0 to 255: x / 255.'
# Fewer samples of one class alone may be so by chance.
FEW = 5
NAMED = 10  # classes in a message


class Problem(NamedTuple):
    """What is wrong with data: the doctor's name of it, a sentence, what to do, and the numbers behind it."""

    name: str
    message: str
    advice: str
    values: dict


def warn_of_data(network, data, validation):
    """Warn, a line each, of what looks wrong with the `ArrayData` that `train` was given; not of batches."""
    if not isinstance(data, ArrayData):
        return
    problems = [_pixels(network, data.x, 'x')]
    if problems == [None] and isinstance(validation, ArrayData):
        problems = [_pixels(network, validation.x, 'validation_data: x')]
    # What a loss of the user's own makes of targets is not known.
    if type(network.loss).prepare is CategoricalCrossEntropy.prepare:
        classes, labels = network.layers[-1].shape[-1], data.targets[data.targets >= 0]
        problems.append(find_missing_classes(labels, classes))
        if isinstance(validation, ArrayData):
            validated = validation.targets[validation.targets >= 0]
            problems.append(find_unvalidated_classes(labels, validated, classes))
    for problem in problems:
        if problem is not None:
            warnings.warn(f'{problem.message} {problem.advice}', DataWarning, stacklevel=4)


def spread_over(x, most_samples=MOST_SAMPLES, most_numbers=MOST_NUMBERS):
    """Return the places of some samples, evenly spread over all, that hold no more numbers than that."""
    most = max(2, most_numbers // max(1, math.prod(x.shape[1:])))
    return np.unique(np.linspace(0, len(x) - 1, min(most_samples, most), dtype=int))


def look_like_bytes(x):
    """Whether numbers look like pixels of 0 to 255."""
    with np.errstate(invalid='ignore'):  # of NaN
        return bool(x.size and x.min() >= 0 and 200 < x.max() <= 255)


def takes_any_scale(network):
    """Whether a network scales its input itself: by a BatchNormalization, or a layer of one's own, before weights."""
    for layer in network.layers:
        if isinstance(layer, BatchNormalization) or not type(layer).__module__.startswith('cnnx.'):
            return True
        if isinstance(layer, (Convolutional, Dense)):
            return False
    return False


def _pixels(network, x, what):
    some = x[spread_over(x)]
    if takes_any_scale(network) or not look_like_bytes(some):
        return None
    message = f'{what} goes up to {some.max():g}.'
    return Problem('input_scale', message, f'{BYTES} Scale all alike: to train on, to validate with, to predict.', {})


def find_missing_classes(labels, classes):
    """Return the `Problem` of classes without samples, or None.

    Args:
        labels: class indices (N,).
        classes: how many outputs the network has.
    """
    counts = np.bincount(labels, minlength=classes)
    missing, values = np.flatnonzero(counts == 0), {'counts': counts.tolist()}
    if missing.tolist() == [0] and classes > 2 and len(labels) >= 2 * classes:
        return Problem(
            'labels_start_at_1',
            f'No sample has label 0, and there are {classes} outputs: labels seem to run from 1 to {classes - 1}.',
            f'Labels begin at 0: y - 1, and {classes - 1} outputs.',
            values,
        )
    if len(missing) <= _left_out_by_chance(np.full(classes, 1 / classes), len(labels)):
        return None
    return Problem(
        'classes_missing',
        f'{len(missing)} of {classes} classes have no sample: {_named(missing)}. The network learns never to predict '
        'them.',
        'Check which samples are missing, shuffle before you split the data, or give the network fewer outputs.',
        values,
    )


def find_unvalidated_classes(labels, validation_labels, classes):
    """Return the `Problem` of classes that are trained on, but missing from the validation data, or None."""
    trained, validated = (np.bincount(found, minlength=classes) for found in (labels, validation_labels))
    missing, count = np.flatnonzero((trained > 0) & (validated == 0)), len(validation_labels)
    only = np.flatnonzero(validated)
    if len(missing) and len(only) == 1 and count >= FEW:
        message = f'All {count:,} samples of the validation data are of class {only[0]}.'
    elif len(missing) > _left_out_by_chance(trained[trained > 0] / len(labels), count):
        message = f'The validation data has no sample of {len(missing)} of {classes} classes: {_named(missing)}.'
    else:
        return None
    return Problem(
        'classes_not_validated',
        message,
        'Its loss and accuracy say nothing about the others: shuffle x and y before a validation_split, or take both '
        'parts from cnnx.data.split(x, y).',
        {'missing': missing.tolist()},
    )


def _left_out_by_chance(frequencies, count):
    """Return how many classes so many random samples may well leave out: the mean, and three standard deviations."""
    mean = ((1 - frequencies) ** count).sum()
    return mean + 3 * math.sqrt(mean)


def _named(classes):
    return ', '.join(map(str, classes[:NAMED])) + (', ...' if len(classes) > NAMED else '')
