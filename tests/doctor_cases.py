"""Networks and data that the doctor examines, and what is asked of its report."""

import numpy as np

from cnnx import SGD, CategoricalCrossEntropy, Dense, MeanSquaredError, Network, ReLU, Softmax


def network(*layers, loss=None, optimizer=None, seed=0, dtype='float32'):
    net = Network(seed=seed, dtype=dtype)
    for layer in layers:
        net.add(layer)
    net.compile(loss or CategoricalCrossEntropy(), optimizer or SGD(momentum=0.9))
    return net


def dense(*, seed=0, optimizer=None, classes=10, first='he_normal'):
    layers = Dense(784, 32, kernel_initializer=first), ReLU(), Dense(output_size=classes), Softmax()
    return network(*layers, seed=seed, optimizer=optimizer)


def regression(last=None, **options):
    layers = Dense(5, 32), ReLU(), Dense(output_size=16), ReLU(), Dense(output_size=1)
    return network(*layers, *([last] if last else []), loss=MeanSquaredError(), **options)


def numbers(seed=0, n=500):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 5))
    return x, np.sin(x[:, 0]) + x[:, 1] * x[:, 2] + 0.1 * rng.normal(size=n)


def normal(width):
    return {'name': 'normal', 'standard_deviation': width}


def names(report, *severities):
    return {f.name for f in report.findings if not severities or f.severity in severities}


def the(report, name):
    (finding,) = (finding for finding in report.findings if finding.name == name)
    assert finding.message in ' '.join(repr(report).split())
    assert finding.advice in ' '.join(repr(report).split())
    return finding


def assert_clean(report):
    assert report, repr(report)
    assert names(report) <= {'input_flattened', 'few_samples', 'sigmoids'}
    assert 'no problems found' in repr(report)
