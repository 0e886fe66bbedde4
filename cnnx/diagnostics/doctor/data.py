"""Findings about samples and targets: NaN, scale, layout, labels, class balance."""

import math

import numpy as np

from cnnx.diagnostics.doctor.findings import Finding
from cnnx.layers import Convolutional, Dense, ReLU, Sigmoid, Softmax, Tanh
from cnnx.losses import CategoricalCrossEntropy
from cnnx.training.data_checks import BYTES, find_missing_classes, look_like_bytes, spread_over, takes_any_scale

# The largest number of samples examined, evenly spread over all, and of numbers in these.
MOST_SAMPLES, MOST_NUMBERS = 10_000, 10_000_000
# Within these limits numbers count as normalised: pixels in 0..1 or -1..1, and numbers of mean 0 and variance 1.
LARGEST_MEAN, LARGEST_SPREAD, SMALLEST_EXTENT = 3, 5, 0.1
# A column with so many times the standard deviation of the others dominates the sums.
LARGEST_COLUMN = 30
# The fraction of wrong labels that networks tolerate.
MANY_CONTRADICTORY = 0.02
FEW_OF_A_CLASS = 10
UNBALANCED = 20
# Larger targets of a squared error give gradients that are too large.
LARGEST_TARGET = 100
RANGES = {ReLU: (0, math.inf), Sigmoid: (0, 1), Softmax: (0, 1), Tanh: (-1, 1)}


def examine_data(network, data):
    """Return findings about the x and targets of an `ArrayData`."""
    not_finite = [*_not_finite('x', data.x), *_not_finite('y', data.targets)]
    if not_finite:
        return not_finite
    index = spread_over(data.x, MOST_SAMPLES, MOST_NUMBERS)
    x = np.asarray(data.x[index], np.float64).reshape(len(index), -1)
    targets = data.targets[index]
    findings = [*_input(network, data.x, x), *_contradictions(x, targets)]
    if isinstance(network.loss, CategoricalCrossEntropy):
        labels = data.targets.reshape(-1)
        return [*findings, *_classes(labels[labels >= 0], network.layers[-1].shape[-1])]
    return [*findings, *_numbers(network, targets)]


def _not_finite(name, array):
    if array.dtype.kind != 'f':
        return
    rows = np.concatenate(
        [
            ~np.isfinite(array[i : i + 1000].reshape(len(array[i : i + 1000]), -1)).all(axis=1)
            for i in range(0, len(array), 1000)
        ]
    )
    if rows.any():
        first = int(rows.argmax())
        yield Finding(
            f'{"input" if name == "x" else "targets"}_not_finite',
            'error',
            None,
            f'{rows.sum():,} of {len(rows):,} samples of {name} hold NaN or infinite numbers, sample {first} first.',
            f'Remove these samples or fill in the numbers: {name}[numpy.isfinite({name}).reshape(len({name}), -1)'
            '.all(axis=1)] keeps the others.',
            {'samples': int(rows.sum()), 'first': first},
        )


def _input(network, given, x):
    """Yield findings about samples x (N, numbers); `given` is the array that the user passed."""
    if (x == x[0]).all():
        if len(x) > 1:
            message = f'All {len(x):,} samples of x are equal: the network cannot tell them apart.'
            yield Finding('input_equal', 'error', None, message, 'Check how x is loaded.')
        return
    yield from _scale(network, x)
    yield from _layout(network, x)
    if given.dtype.kind in 'iub':
        yield Finding(
            'input_integer',
            'note',
            None,
            f'x holds {given.dtype}, which is converted again for each batch.',
            f'Convert x once, when you normalise it: x.astype({network.dtype.name!r}).',
        )


def _scale(network, x):
    if takes_any_scale(network):
        return
    mean, spread, extent = x.mean(), x.std(), np.abs(x).max()
    values = {'mean': float(mean), 'standard_deviation': float(spread), 'largest': float(extent)}
    subject = f'x is not normalised: mean {mean:.3g}, standard deviation {spread:.3g}, largest {extent:.3g}. '
    columns = x.std(axis=0)
    usual = float(np.median(columns[columns > 0]))
    if look_like_bytes(x):
        yield Finding('input_scale', 'warning', None, subject, BYTES, values)
    elif len(network.input_shape) == 1 and columns.max() > max(LARGEST_SPREAD, LARGEST_COLUMN * usual):
        yield Finding(
            'input_columns',
            'warning',
            None,
            f'The columns of x differ in size: column {columns.argmax()} has the standard deviation '
            f'{columns.max():.3g}, half of them less than {usual:.3g}. The largest dominate outputs and gradients.',
            'Normalise each: (x - x.mean(axis=0)) / x.std(axis=0), by the mean and std of the training samples.',
            {'column': int(columns.argmax()), 'standard_deviation': float(columns.max()), 'median': usual},
        )
    elif abs(mean) > LARGEST_MEAN or spread > LARGEST_SPREAD or extent < SMALLEST_EXTENT:
        yield Finding(
            'input_scale',
            'warning',
            None,
            subject + ('Weights would have to grow a lot first.' if extent < SMALLEST_EXTENT else ''),
            'Learning rates and initial weights are made for numbers of about 1: (x - x.mean()) / x.std(), or pixels '
            'in 0 to 1; use the same mean and std for samples that you predict later.',
            values,
        )


def _layout(network, x):
    shape = network.input_shape
    first = _first_of(network, (Convolutional, Dense))
    if len(shape) == 3 and isinstance(first, Convolutional) and shape[0] <= 4 < 8 <= shape[1] == shape[2]:
        yield Finding(
            'input_layout',
            'warning',
            0,
            f'Samples {shape} look as if their channels came first: cnnx reads them as images of {shape[0]} by '
            f'{shape[1]} pixels with {shape[2]} channels.',
            'Images are (N, height, width, channels): numpy.moveaxis(x, 1, -1), and an input_shape of '
            f'{(shape[1], shape[2], shape[0])}.',
        )
    side = math.isqrt(x.shape[1])
    if len(shape) == 1 and side >= 8 and side * side == x.shape[1]:
        centred = x - x.mean()
        down, beside = (_correlation(centred, lag) for lag in (side, side // 2))
        if down > max(0.3, beside + 0.1):
            yield Finding(
                'input_flattened',
                'note',
                0,
                f'Samples of {x.shape[1]} numbers look like images of {side} by {side} pixels: those {side} apart are '
                f'correlated ({down:.2f}). Dense layers do not know which pixels are neighbours.',
                f'x.reshape(-1, {side}, {side}, 1), and Convolutional layers first.',
                {'correlation': down},
            )


def _correlation(centred, lag):
    a, b = centred[:, :-lag], centred[:, lag:]
    return float((a * b).mean() / max(math.sqrt((a * a).mean() * (b * b).mean()), 1e-300))


def _first_of(network, kinds):
    return next((layer for layer in network.layers if isinstance(layer, kinds)), None)


def _contradictions(x, targets):
    """Yield a finding if equal samples have different targets."""
    answers, places = {}, {}
    for place, (sample, target) in enumerate(zip(x, targets, strict=True)):
        key = sample.tobytes()
        answers.setdefault(key, set()).add(target.tobytes())
        places.setdefault(key, []).append(place)
    contradictory = [key for key, different in answers.items() if len(different) > 1]
    if not contradictory or len(answers) == 1:
        return
    count = sum(len(places[key]) for key in contradictory)
    yield Finding(
        'targets_contradict',
        'warning' if count > max(2, MANY_CONTRADICTORY * len(x)) else 'note',
        None,
        f'{count:,} of {len(x):,} samples have an equal one with another target: no network can learn both.',
        'Look at the samples that repeat, and which of their targets are right.',
        {'samples': count},
    )


def _classes(labels, classes):
    counts = np.bincount(labels, minlength=classes)
    expected, values = len(labels) / classes, {'counts': counts.tolist()}
    if expected < FEW_OF_A_CLASS:
        yield Finding(
            'few_samples',
            'note',
            None,
            f'{len(labels):,} samples for {classes} classes are {expected:.1f} a class: what is learned from them will '
            'hardly generalise.',
            'Give the doctor all samples that you train on; if these are all, get more.',
            values,
        )
    elif (problem := find_missing_classes(labels, classes)) is not None:
        yield Finding(problem.name, 'warning', None, problem.message, problem.advice, problem.values)
    present = counts[counts > 0]
    if expected >= FEW_OF_A_CLASS and present.max() > UNBALANCED * present.min():
        yield Finding(
            'classes_unbalanced',
            'warning',
            None,
            f'Class {counts.argmax()} has {counts.max():,} samples, others as few as {present.min():,}: always '
            f'predicting it is {counts.max() / len(labels):.1%} accurate.',
            'Weight the classes, train(..., class_weight={...}), or repeat samples of rare ones; evaluate by precision '
            'and recall, evaluate(..., metrics=[...]).',
            values,
        )
    if len(present) > 1 and expected >= FEW_OF_A_CLASS and (np.diff(labels) >= 0).all():
        yield Finding(
            'labels_in_order',
            'note',
            None,
            'The samples are sorted by their labels. Training shuffles them, but a validation_split, or a part x[:n], '
            'takes whole classes away.',
            'Shuffle x and y together once.',
        )


def _numbers(network, targets):
    """Yield findings about targets that are numbers."""
    flat = np.asarray(targets, np.float64).reshape(len(targets), -1)
    sums, last = np.asarray(targets, np.float64).sum(axis=-1), network.layers[-1]
    if len(flat) > 1 and (flat == flat[0]).all():
        yield Finding(
            'targets_equal',
            'warning',
            None,
            f'All {len(flat):,} targets are equal: a bias alone can learn them.',
            'Check how y is loaded.',
        )
        return
    low, high = next((limits for kind, limits in RANGES.items() if isinstance(last, kind)), (-math.inf, math.inf))
    outside = float(((flat < low) | (flat > high)).mean())
    if outside > 0:
        yield Finding(
            'targets_out_of_range',
            'error' if outside > 0.5 else 'warning',
            last.index,
            f'{outside:.1%} of the targets, {flat.min():.3g} to {flat.max():.3g}, are out of the range of '
            f'{last.where}, {low:g} to {high:g}.',
            'Remove that activation, so that a Dense layer is last, or scale the targets into its range.',
            {'fraction': outside, 'smallest': float(flat.min()), 'largest': float(flat.max())},
        )
    elif isinstance(last, Softmax) and targets.shape[1:] == last.shape and np.abs(sums - 1).max() > 0.01:
        yield Finding(
            'targets_out_of_range',
            'warning',
            last.index,
            f'{last.where} gives outputs that sum to 1, the targets sum to {sums.min():.3g} to {sums.max():.3g}.',
            'Remove the Softmax, or use probabilities as targets.',
        )
    extent = float(np.sqrt(np.square(flat).mean()))
    if extent > LARGEST_TARGET:
        yield Finding(
            'target_scale',
            'warning',
            None,
            f'The targets are about {extent:.3g} in size, so the first losses are about {extent**2:.3g}, and gradients '
            'are as large as the targets: the usual learning rate is too large for them.',
            'Train on (y - y.mean()) / y.std(), and scale predictions back with the same two numbers.',
            {'root_mean_square': extent},
        )
