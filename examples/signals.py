"""1-D convolutions on signals: which of four waveforms is hidden in the noise, at a place that is not known?

    python examples/signals.py

The signals are made here, so that the best accuracy that any classifier can reach is known: that of Bayes' rule, which
knows the waveforms, the noise, and that all places and classes are as probable. The network knows signals and classes
alone. Every epoch has new signals, so it cannot overfit.
"""

import argparse

import numpy as np

from cnnx import Adam, CategoricalCrossEntropy, Network
from cnnx.layers import (
    Concatenate,
    Convolutional1D,
    Dense,
    GlobalAveragePooling,
    GlobalMaxPooling,
    Input,
    ReLU,
    Softmax,
)
from cnnx.schedules import OneCycle

LENGTH = 128
NOISE = 0.7
BATCH = 100


def waveforms():
    """Return four waveforms with 32 numbers each, (4, 32), of equal energy."""
    t = np.linspace(0, 1, 32, endpoint=False)
    phases = [4 * t, 4 * t + 2 * t * (t - 1), 4 * t - 2 * t * (t - 1), 5 * t]  # constant, rising, falling, higher
    found = np.sin(2 * np.pi * np.array(phases)) * np.sin(np.pi * t)
    return 4 * found / np.linalg.norm(found, axis=1, keepdims=True)


def make_signals(count, rng):
    """Return signals (count, LENGTH, 1) with noise, and the classes of the waveforms in them, (count,)."""
    known = waveforms()
    classes = rng.integers(0, len(known), count)
    places = rng.integers(0, LENGTH - known.shape[1] + 1, count)
    x = NOISE * rng.standard_normal((count, LENGTH), np.float32)
    x[np.arange(count)[:, None], places[:, None] + np.arange(known.shape[1])] += known[classes]
    return x[..., np.newaxis], classes


def classify_by_bayes(x):
    """Return the most probable classes of signals, (N,).

    The likelihood of a class is the mean over all places of exp(-|x - waveform at that place|^2 / (2 NOISE^2)). Of the
    square, only the product of both is not the same for all classes and places.
    """
    windows = np.lib.stride_tricks.sliding_window_view(x[..., 0], waveforms().shape[1], axis=1)
    products = np.einsum('npt,ct->npc', windows, waveforms(), optimize=True) / NOISE**2
    return np.logaddexp.reduce(products, axis=1).argmax(axis=1)


def make_network(seed):
    x = Input((LENGTH, 1))
    h = ReLU()(Convolutional1D(16, 32)(x))
    h = ReLU()(Convolutional1D(32, 1)(h))
    h = Concatenate()([GlobalAveragePooling()(h), GlobalMaxPooling()(h)])
    h = ReLU()(Dense(output_size=32)(h))
    net = Network(inputs=x, outputs=Softmax()(Dense(output_size=4)(h)), seed=seed)
    net.compile(CategoricalCrossEntropy(), Adam())
    return net


def train(net, settings):
    def batches(epoch):
        rng = np.random.default_rng((settings.seed, epoch))  # of the epoch alone: a resumed run has the same batches
        for _ in range(settings.steps):
            yield make_signals(BATCH, rng)

    return net.train(
        batches,
        epochs=settings.epochs,
        learning_rate=OneCycle(0.01),
        checkpoint_dir=settings.checkpoint_dir,
        checkpoint_prefix='signals',
        resume_from_checkpoint=settings.resume,
    )


def plot(net, path):
    """Draw each waveform, a signal that has it, and some filters of the first layer."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 8), layout='constrained')
    above, below = figure.subfigures(2)
    x, classes = make_signals(100, np.random.default_rng(1))
    for label, panels in enumerate(above.subplots(2, 4, sharey=True).T):
        panels[0].plot(waveforms()[label])
        panels[1].plot(x[classes == label][0, :, 0])
    for panel, weights in zip(below.subplots(1, 8, sharey=True), net.layers[0].weights[0, :, 0].T, strict=False):
        panel.plot(weights)
    above.suptitle('The four waveforms, and signals that have them')
    below.suptitle('Filters of the first layer')
    figure.savefig(path)


def parse_settings(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add('--epochs', type=int, default=20, metavar='N', help='number of epochs, of 500 batches of 100 new signals (20)')
    add('--seed', type=int, default=0, metavar='N', help='of weights and signals (0)')
    add('--quick', action='store_true', help='two epochs of 100 batches, to see that it runs')
    add('--plot', metavar='FILE', help='draw signals, and the filters that were learned')
    add('--checkpoint-dir', metavar='DIR', help='save a checkpoint after each epoch')
    add('--resume', action='store_true', help='continue from the checkpoints in that folder')
    settings = parser.parse_args(arguments)
    settings.steps = 500
    if settings.quick:
        settings.epochs, settings.steps = 2, 100
    return settings


def main(arguments=None):
    settings = parse_settings(arguments)
    net = make_network(settings.seed)
    train(net, settings)
    x, classes = make_signals(10_000, np.random.default_rng(settings.seed))
    accuracy, best = (np.mean(found == classes) for found in (net.predict_classes(x), classify_by_bayes(x)))
    if settings.plot:
        plot(net, settings.plot)
    print(f'accuracy on 10,000 new signals: {accuracy:.2%}; the best possible, by Bayes, has {best:.2%}')


if __name__ == '__main__':
    main()
