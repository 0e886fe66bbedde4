"""Transfer learning: a network trained on the digits 0 to 4 keeps early layers and learns 5 to 9 from few images.

LeNet-5 keeps its convolutions; a ResNet (--network resnet) keeps its first two stages, and trains the third further.
Both get a new head. Each is compared with the same network, trained on 5 to 9 from scratch with the same samples and
number of steps. For each, the learning rate is chosen from RATES by cross-validation; the test images are used for the
final accuracy only.
"""

import argparse
import copy
import time

import numpy as np

from cnnx import (
    SGD,
    Add,
    BatchNormalization,
    CategoricalCrossEntropy,
    Convolutional,
    Dense,
    Flatten,
    GlobalAveragePooling,
    Input,
    Network,
    ReLU,
    Softmax,
)
from cnnx.callbacks import LambdaCallback
from cnnx.data import preprocess_mnist_data
from cnnx.models import lenet5

RATES = (0.001, 0.003, 0.01, 0.03, 0.1)
BATCH = 10


def residual_block(x, filters, stride):
    """Two 3 x 3 convolutions, beside which the input goes by. Source: He et al., 2016, figure 2."""
    h = Convolutional(filters, 3, stride=stride, padding='same', use_bias=False)(x)
    h = ReLU()(BatchNormalization()(h))
    h = BatchNormalization()(Convolutional(filters, 3, padding='same', use_bias=False)(h))
    if stride > 1:
        x = BatchNormalization()(Convolutional(filters, 1, stride=stride, padding='same', use_bias=False)(x))
    return ReLU()(Add()([h, x]))


def resnet(seed, classes=10):
    """Return a ResNet of three stages, on images of 28 x 28, 14 x 14 and 7 x 7."""
    x = Input((28, 28, 1))
    h = ReLU()(BatchNormalization()(Convolutional(8, 3, padding='same', use_bias=False)(x)))
    for filters, stride in ((8, 1), (16, 2), (32, 2)):
        h = residual_block(h, filters, stride)
    net = Network(inputs=x, outputs=Softmax()(Dense(output_size=classes)(GlobalAveragePooling()(h))), seed=seed)
    net.compile(CategoricalCrossEntropy(), SGD(momentum=0.9))
    return net


NETWORKS = {'lenet5': lenet5, 'resnet': resnet}


def parse_settings(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--network', choices=NETWORKS, default='lenet5', help='(%(default)s)')
    parser.add_argument('--quick', action='store_true', help='few images, one seed, one epoch, to see that it runs')
    parser.add_argument('--samples-per-class', type=int, default=20, metavar='N', help='of 5 to 9 (%(default)s)')
    parser.add_argument('--seeds', type=int, default=10, metavar='N', help='number of repetitions (%(default)s)')
    parser.add_argument('--epochs', type=int, default=5, metavar='N', help='number of epochs (%(default)s)')
    settings = parser.parse_args(arguments)
    if settings.seeds < 1 or settings.epochs < 1 or not 2 <= settings.samples_per_class <= 400:
        parser.error('expected at least 1 seed and 1 epoch, and 2 to 400 samples a class')
    if settings.quick:
        settings.samples_per_class, settings.seeds, settings.epochs = 2, 1, 1
    return settings


def five_digits(data, first):
    """Return the images of five digits from `first` on, and their classes, 0 to 4."""
    x, one_hot = data
    classes = one_hot.argmax(axis=1) - first
    chosen = (classes >= 0) & (classes < 5)
    return x[chosen], classes[chosen]


def draw(x, y, count, rng):
    """Draw `count` samples of each class."""
    index = [rng.choice(np.flatnonzero(y == label), count, replace=False) for label in range(5)]
    return x[np.concatenate(index)], y[np.concatenate(index)]


def with_new_head(net):
    """Replace the layers after Flatten or GlobalAveragePooling by new dense layers for five classes."""
    while not isinstance(net.layers[-1], Flatten | GlobalAveragePooling):
        net.pop()
    if isinstance(net.layers[-1], Flatten):
        for layer in (Dense(output_size=120), ReLU(), Dense(output_size=84), ReLU()):
            net.add(layer)
    net.add(Dense(output_size=5))
    net.add(Softmax())
    net.compile(CategoricalCrossEntropy(), SGD(momentum=0.9))
    return net


def new(build, seed):
    return with_new_head(build(seed))


def pretrained(build, x, y, seed):
    """Return a network trained on x, with the layers frozen whose outputs are images of more than 7 x 7 pixels.

    These are all convolutions of LeNet-5, and of the ResNet those of the first two stages.
    """
    net = build(seed, classes=5)
    net.train(x, y, epochs=5, learning_rate=0.01, verbose=0)
    for layer in net.layers:
        layer.trainable = layer.shape[0] <= 7 or len(layer.shape) == 1
    return net


def trained(net, x, y, rate, epochs):
    net.train(x, y, epochs=epochs, learning_rate=rate, batch_size=BATCH, verbose=0)
    return net


def best_rate(make, x, y, epochs):
    """Return the learning rate with the best accuracy by two-fold cross-validation."""

    def score(rate):
        halves = (slice(0, None, 2), slice(1, None, 2))
        pairs = zip(halves, reversed(halves), strict=True)
        found = [trained(make(), x[a], y[a], rate, epochs).evaluate(x[b], y[b]) for a, b in pairs]
        return sum(f['accuracy'] for f in found), -sum(f['loss'] for f in found)

    return max(RATES, key=score)


def seconds_of_an_epoch(net, x, y):
    """Return the shortest time of five epochs, in seconds."""
    times = [time.perf_counter()]
    clock = LambdaCallback(on_epoch_end=lambda epoch, metrics: times.append(time.perf_counter()))
    net.train(x, y, epochs=5, callbacks=[clock], verbose=0)
    return min(np.diff(times))


def compare(network, samples_per_class, seeds, epochs, quick=False):
    """Return {method: (test accuracies, learning rates, seconds of an epoch over all images of 5 to 9)}, by seed."""
    training, testing = preprocess_mnist_data()
    if quick:
        training = training[0][:400], training[1][:400]
    known, others, test = five_digits(training, 0), five_digits(training, 5), five_digits(testing, 5)
    results, build = {'from scratch': [], 'transferred': []}, NETWORKS[network]
    for seed in range(seeds):
        base, few = pretrained(build, *known, seed), draw(*others, samples_per_class, np.random.default_rng(seed))
        methods = (lambda seed=seed: new(build, seed)), (lambda base=base: with_new_head(copy.deepcopy(base)))
        for result, make in zip(results.values(), methods, strict=True):
            rate = best_rate(make, *few, epochs)
            accuracy = trained(make(), *few, rate, epochs).evaluate(*test)['accuracy']
            result.append((accuracy, rate, seconds_of_an_epoch(make(), *others)))
    return {method: np.transpose(found) for method, found in results.items()}


def main(arguments=None):
    results = compare(**vars(parse_settings(arguments)))
    print('               test accuracy, %   learning rate   ms per epoch')
    for method, (accuracies, rates, seconds) in results.items():
        print(f'{method:<15}{mean_and_spread(accuracies):<19}{np.median(rates):<16g}{1000 * np.median(seconds):.1f}')
    print(f'gain           {mean_and_spread(results["transferred"][0] - results["from scratch"][0])}')


def mean_and_spread(accuracies):
    return f'{100 * accuracies.mean():.1f} +- {100 * accuracies.std():.1f}'


if __name__ == '__main__':
    main()
