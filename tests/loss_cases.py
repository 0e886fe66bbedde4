"""Cases for each kind of loss: a small network that trains on it, and targets. What holds for all is tested on them."""

from typing import NamedTuple

import numpy as np

import cnnx
from cnnx import Convolutional, Dense, Flatten, Sigmoid, Softmax

SHAPE = (5, 4, 1)
IGNORED = 255
STEP = 1e-6


class Case(NamedTuple):
    """How a loss is used.

    Attributes:
        loss: makes it.
        last: makes the last layers, which follow a convolution.
        predictions: the loss takes any 'numbers', 'probabilities' output by output, or 'rows' that sum to 1.
        targets: 'labels', some of them IGNORED where the loss has an ignore_label, 'bits', 'numbers', or 'rows'.
    """

    loss: object
    last: object
    predictions: str
    targets: str


def rows(*last):
    return lambda: (Flatten(), Dense(output_size=3), *(kind() for kind in last))


def maps(filters, *last):
    return lambda: (Convolutional(filters, 2), *(kind() for kind in last))


CASES = {
    'CategoricalCrossEntropy': Case(cnnx.CategoricalCrossEntropy, rows(Softmax), 'rows', 'labels'),
    'CategoricalCrossEntropy of maps': Case(
        lambda: cnnx.CategoricalCrossEntropy(label_smoothing=0.1, ignore_label=IGNORED),
        maps(3, Softmax),
        'rows',
        'labels',
    ),
    'CategoricalCrossEntropy of maps of logits': Case(
        lambda: cnnx.CategoricalCrossEntropy(from_logits=True, ignore_label=IGNORED), maps(3), 'numbers', 'labels'
    ),
    'BinaryCrossEntropy': Case(cnnx.BinaryCrossEntropy, rows(Sigmoid), 'probabilities', 'bits'),
    'BinaryCrossEntropy of maps of logits': Case(
        lambda: cnnx.BinaryCrossEntropy(from_logits=True), maps(1), 'numbers', 'bits'
    ),
    'MeanSquaredError': Case(cnnx.MeanSquaredError, rows(), 'numbers', 'numbers'),
    'MeanSquaredError of maps': Case(cnnx.MeanSquaredError, maps(2), 'numbers', 'numbers'),
    'MeanAbsoluteError': Case(cnnx.MeanAbsoluteError, rows(), 'numbers', 'numbers'),
    'Huber': Case(lambda: cnnx.Huber(0.4), maps(2), 'numbers', 'numbers'),
    'KLDivergence': Case(cnnx.KLDivergence, rows(Softmax), 'rows', 'rows'),
    'KLDivergence of maps': Case(cnnx.KLDivergence, maps(3, Softmax), 'rows', 'rows'),
}


def network(name, seed=0, **settings):
    """Return a compiled network of a case."""
    case = CASES[name]
    layers = Convolutional(4, 3, padding='same', input_shape=SHAPE), cnnx.ReLU(), *case.last()
    net = cnnx.Network(list(layers), seed=seed, **settings)
    net.compile(case.loss(), cnnx.SGD(momentum=0.9))
    return net


def targets(name, shape, seed=0):
    """Return targets for predictions of a shape (N, ..., outputs)."""
    case, rng = CASES[name], np.random.default_rng(seed)
    if case.targets == 'labels':
        labels = rng.integers(0, shape[-1], shape[:-1])
        if case.loss().ignore_label is not None:
            labels[rng.random(labels.shape) < 0.3] = IGNORED
        return labels
    if case.targets == 'bits':
        return rng.integers(0, 2, shape)
    return predictions(shape, case.targets, seed + 1)


def predictions(shape, kind, seed=0):
    """Return predictions of a kind."""
    rng = np.random.default_rng(seed)
    if kind == 'numbers':
        return rng.normal(size=shape)
    y = rng.uniform(0.05, 0.95, shape)
    return y / y.sum(axis=-1, keepdims=True) if kind == 'rows' else y


def data(name, n=20, seed=0):
    """Return x, and targets for the network of a case."""
    shape = network(name).layers[-1].shape
    return np.random.default_rng(seed).normal(size=(n, *SHAPE)).astype(np.float32), targets(name, (n, *shape), seed)


def value(loss, y, targets, *weights):
    return loss.value_and_gradient(y, targets, *weights)[0]


def gradient(loss, y, targets, *weights):
    return loss.value_and_gradient(y, targets, *weights)[1]


def numeric_gradient(loss, predictions, *others):
    found = np.empty_like(predictions)
    for index in np.ndindex(predictions.shape):
        ends = []
        for step in (STEP, -STEP):
            moved = predictions.copy()
            moved[index] += step
            ends.append(value(loss, moved, *others))
        found[index] = (ends[0] - ends[1]) / (2 * STEP)
    return found
