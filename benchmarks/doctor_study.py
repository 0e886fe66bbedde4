"""The doctor held against training: `python -m benchmarks.doctor_study --range test`.

Networks, optimizers, learning rates, scales of x are drawn at random, and each network is trained on 1,000 of the
bundled images. It has learned if the loss of the last epoch is at most 0.95 times that of guessing, and the labels
were not shuffled: what is learned from shuffled labels is of no use. It is a miss if a network does not learn and the
doctor has no error and no `targets_unrelated`; a false alarm if it learns and the doctor has one of these.

The doctor's thresholds were chosen on the cases of the range `tuning`, then tried on those of `first`. Three misses
there changed how a loss is continued. It was run on those of `test` after the last change.
"""

import argparse
import json
import math
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np

import cnnx
from cnnx import BatchNormalization, Convolutional, Dense, Dropout, Flatten, MaxPooling, Softmax
from cnnx.data import preprocess_mnist_data
from cnnx.optimizers import Update

RANGES = {'tuning': range(1000, 1200), 'first': range(2000, 2200), 'test': range(3000, 3200)}
SAMPLES, EPOCHS, CLASSES = 1000, 10, 10
LEARNED = 0.95
ACTIVATIONS = cnnx.ReLU, cnnx.LeakyReLU, cnnx.Tanh, cnnx.Sigmoid
GOOD = 'he_normal', 'he_uniform', 'glorot_uniform', 'glorot_normal', 'lecun_normal', 'orthogonal'
BAD = [{'name': 'normal', 'standard_deviation': width} for width in (0.001, 0.01, 0.3, 1.0)]
OPTIMIZERS = {
    'SGD': cnnx.SGD,
    'SGD, momentum': lambda: cnnx.SGD(momentum=0.9),
    'Adam': cnnx.Adam,
    'RMSprop': cnnx.RMSprop,
    'Adagrad': cnnx.Adagrad,
}
SCALES = {
    '0..1': lambda x: x,
    '-1..1': lambda x: 2 * x - 1,
    '0..255': lambda x: 255 * x,
    'equal': lambda x: np.full_like(x, 0.5),
}


class Case(NamedTuple):
    """A set-up: a compiled network, its data, and what is given to `train` and `doctor`; `what` describes it."""

    network: cnnx.Network
    x: np.ndarray
    y: np.ndarray
    options: dict
    shuffled: bool
    what: dict


def make_case(seed, images, labels):
    """Draw a set-up; the same seed gives the same one again."""
    rng = np.random.default_rng([17, seed])
    index = rng.permutation(len(images))[:SAMPLES]
    scale = rng.choice(list(SCALES), p=[0.7, 0.17, 0.1, 0.03])
    shuffled = bool(rng.random() < 0.06)
    x, y = SCALES[scale](images[index]), labels[index]
    y = rng.permutation(y) if shuffled else y
    optimizer, loss = rng.choice(list(OPTIMIZERS)), rng.choice(['softmax', 'logits', 'squares'], p=[0.7, 0.15, 0.15])
    layers = make_layers(rng)
    network = cnnx.Network(seed=seed)
    for layer in layers if loss == 'logits' else [*layers, Softmax()]:
        network.add(layer)
    losses = {'logits': cnnx.CategoricalCrossEntropy(from_logits=True), 'squares': cnnx.MeanSquaredError()}
    network.compile(losses.get(loss, cnnx.CategoricalCrossEntropy()), OPTIMIZERS[optimizer]())
    rate, batch_size = float(10 ** rng.uniform(-5, 1)), int(rng.choice([16, 32, 64, 128]))
    what = {'optimizer': optimizer, 'rate': rate, 'batch_size': batch_size, 'scale': scale, 'loss': loss}
    what |= {'shuffled': shuffled, 'layers': repr(layers)}
    y = np.eye(CLASSES, dtype='float32')[y] if loss == 'squares' else y
    return Case(network, x, y, {'learning_rate': rate, 'batch_size': batch_size}, shuffled, what)


def make_layers(rng):
    """Draw the layers of a network, up to the one before the softmax."""
    activation, normalized = ACTIVATIONS[rng.choice(4, p=[0.5, 0.1, 0.2, 0.2])], rng.random() < 0.25
    initializer = (GOOD + tuple(BAD))[rng.choice(10, p=[0.25, *[0.12] * 5, *[0.0375] * 4])]
    convolutions, hidden = int(rng.choice([0, 1, 2])), int(rng.choice([0, 1, 2, 3, 5]))
    layers = []
    for _ in range(convolutions):
        shape = {} if layers else {'input_shape': (28, 28, 1)}
        filters, size = int(rng.choice([4, 8, 16])), int(rng.choice([3, 5]))
        layers.append(Convolutional(filters, size, kernel_initializer=initializer, **shape))
        layers += [BatchNormalization()] if normalized else []
        layers += [activation(), MaxPooling(2)]
    layers.append(Flatten() if layers else Flatten(input_shape=(28, 28, 1)))
    for _ in range(hidden):
        width = int(rng.choice([8, 32, 128]))
        layers.append(Dense(output_size=width, kernel_initializer=initializer))
        layers += [BatchNormalization()] if normalized else []
        layers.append(activation())
    layers += [Dropout(0.3)] if hidden and rng.random() < 0.15 else []
    return [*layers, Dense(output_size=CLASSES, kernel_initializer=initializer)]


def learns(case):
    """Train the network for real; return whether it learns, and the last loss as a fraction of that of guessing."""
    guess = math.log(CLASSES) if case.y.ndim == 1 else float(case.y.var(axis=0).mean())
    try:
        losses = case.network.train(case.x, case.y, epochs=EPOCHS, verbose=0, **case.options)['loss']
    except cnnx.DivergenceError:
        return False, math.inf
    return losses[-1] <= LEARNED * guess and not case.shuffled, losses[-1] / guess


def examine(case):
    """Return the doctor's findings, whether they speak against the set-up, and the number of its steps."""
    count, step = [0], Update.__call__

    def counting(update, rate):
        count[0] += 1
        step(update, rate)

    Update.__call__ = counting
    try:
        findings = case.network.doctor(case.x, case.y, epochs=EPOCHS, **case.options).findings
    finally:
        Update.__call__ = step
    against = any(finding.severity == 'error' or finding.name == 'targets_unrelated' for finding in findings)
    return [f'{finding.severity} {finding.name}' for finding in findings], against, count[0]


def study(seeds):
    """Yield a dict for each case: what it is, whether it learns, and what the doctor finds."""
    images, y = preprocess_mnist_data()[0]
    labels = y.argmax(axis=1)
    for seed in seeds:
        case = make_case(seed, images, labels)
        findings, against, count = examine(case)
        learned, loss = learns(case)
        yield {'seed': seed, **case.what, 'learned': learned, 'loss': loss, 'against': against, 'steps': count} | {
            'findings': findings
        }


def table(cases):
    """Return the lines of a Markdown table: cases by learning rate, misses and false alarms."""
    lines = ['| learning rate | cases | learn | misses | false alarms |', '|---|---|---|---|---|']
    for low in (*range(-5, 1), None):
        rows = [case for case in cases if low is None or math.floor(math.log10(case['rate'])) == low]
        misses = sum(not (case['learned'] or case['against']) for case in rows)
        alarms = sum(case['learned'] and case['against'] for case in rows)
        name = 'all' if low is None else f'{10.0**low:g} to {10.0 ** (low + 1):g}'
        lines.append(f'| {name} | {len(rows)} | {sum(case["learned"] for case in rows)} | {misses} | {alarms} |')
    return lines


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--range', choices=RANGES, default='test', help='which cases (%(default)s)')
    parser.add_argument('--cases', type=int, default=200, help='how many of them (%(default)s)')
    parser.add_argument('--json', type=Path, help='write each case to this file, a line each')
    options = parser.parse_args(arguments)
    warnings.simplefilter('ignore')
    cases = []
    for case in study(RANGES[options.range][: options.cases]):
        cases.append(case)
        right = case['learned'] != case['against']
        print(f'{case["seed"]}: {"learns" if case["learned"] else "does not learn"}, {"" if right else "not "}seen')
    if options.json:
        options.json.write_text('\n'.join(map(json.dumps, cases)) + '\n')
    print('\n'.join(table(cases)))
    print(f'at most {max(case["steps"] for case in cases)} steps of the doctor')


if __name__ == '__main__':
    main()
