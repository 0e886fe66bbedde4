"""Networks of the benchmarks, and the cnnx side of a row."""

import functools

from benchmarks.data import samples_for
from cnnx import (
    SGD,
    BatchNormalization,
    CategoricalCrossEntropy,
    Convolutional,
    Dense,
    Dropout,
    Flatten,
    MaxPooling,
    Network,
    ReLU,
    Softmax,
    models,
    set_num_threads,
)
from examples import architectures, segmentation

MOMENTUM = 0.9


def lenet5():
    return models.lenet5(seed=0, momentum=MOMENTUM)


def vgg(normalized=False):
    """Return a network of 3x3 convolutions, 3-32-32-pool-64-64-pool, and dense layers 4096-256-10.

    Args:
        normalized: whether a batch normalization follows each convolution and the first dense layer.
    """

    def activate():
        return [BatchNormalization(), ReLU()] if normalized else [ReLU()]

    layers = []
    for first, filters in ((True, 32), (False, 64)):
        layers += [Convolutional(filters, 3, padding='same', input_shape=(32, 32, 3) if first else None), *activate()]
        layers += [Convolutional(filters, 3, padding='same'), *activate(), MaxPooling(2)]
    return _network(*layers, Flatten(), Dense(output_size=256), *activate(), Dense(output_size=10))


def vgg_bn():
    return vgg(normalized=True)


def accurate():
    """Return the network of the recipe `accurate`; dropout would draw other numbers on each side, and is off."""
    net = models.accurate(seed=0, momentum=MOMENTUM)
    next(layer for layer in net.layers if isinstance(layer, Dropout)).rate = 0.0
    return net


def dense():
    """Return a network of a dense layer 4096-256, larger than most caches, and a small one."""
    return _network(Dense(4096, 256), ReLU(), Dense(output_size=10))


def strided():
    """Return a network that begins with a 7x7 convolution of stride 2."""
    return _network(
        Convolutional(32, 7, stride=2, padding='same', input_shape=(64, 64, 3)),
        ReLU(),
        MaxPooling(2),
        Convolutional(64, 3, padding='same'),
        ReLU(),
        MaxPooling(2),
        Flatten(),
        Dense(output_size=10),
    )


def overlapping():
    """Return a network whose 3x3 pooling windows move by 2."""
    return _network(
        Convolutional(32, 3, padding='same', input_shape=(32, 32, 3)),
        ReLU(),
        MaxPooling(3, stride=2),
        Convolutional(64, 3, padding='same'),
        ReLU(),
        MaxPooling(3, stride=2),
        Flatten(),
        Dense(output_size=10),
    )


def resnet():
    return _for_training(architectures.resnet(seed=0))


def mobilenet():
    return _for_training(architectures.mobilenet(seed=0))


def unet():
    return _for_training(segmentation.unet(seed=0, size=96))


def variant(activation=ReLU, pooling=MaxPooling, dropout=0.0, normalized=False):
    """Return LeNet-5 with another activation or pooling, dropout after dense layers, or batch normalization."""

    def activate():
        return [BatchNormalization(), activation()] if normalized else [activation()]

    layers = [Convolutional(6, 5, padding='same', input_shape=(28, 28, 1)), *activate(), pooling(2)]
    layers += [Convolutional(16, 5), *activate(), pooling(2), Flatten()]
    for size in (120, 84):
        layers += [Dense(output_size=size), *activate(), *([Dropout(dropout)] if dropout else [])]
    return _network(*layers, Dense(output_size=10))


def training_work(net):
    """Return the multiply-adds of a dense training step for one sample.

    The forward pass, the gradients of the weights and those of the input have the same number. The first layer needs no
    gradient of its input.
    """
    work = [layer.multiply_adds for layer in net.layers]
    return 3 * sum(work) - next(filter(None, work))


class Ours:
    """A cnnx network with data to train on."""

    def __init__(self, net, x, y, batch_size, rate, augment=None):
        self.net, self.x, self.y = net, x, y
        self.batch_size, self.rate, self.augment = batch_size, rate, augment

    def train(self, first, count, shuffle=True):
        """Train on `count` samples, starting at index `first`."""
        span = slice(first, first + count)
        self.net.train(
            self.x[span],
            self.y[span],
            epochs=1,
            learning_rate=self.rate,
            batch_size=self.batch_size,
            augment=self.augment,
            shuffle=shuffle,
            verbose=0,
        )

    def infer(self, count, times=1, by_predictor=False):
        """Compute the probabilities of the first samples, several times, by `net.predict` or by a predictor."""
        x, predict = self.x[:count], self.predictor if by_predictor else self.net.predict
        for _ in range(times):
            predict(x)

    @functools.cached_property
    def predictor(self):
        return self.net.predictor()

    def probabilities(self, count):
        """Return the probabilities of the first samples' classes, (count, ..., classes)."""
        return self.net.predict(self.x[:count])


def make_ours(build, source, batch_size, rate, threads):
    """Return `Ours` with a network of `build`, seed 0, and samples of `source` (see data.py)."""
    set_num_threads(threads)
    net = build()
    return Ours(net, *samples_for(net, source), batch_size, rate)


def _network(*layers):
    net = Network(seed=0)
    for layer in (*layers, Softmax()):
        net.add(layer)
    return _for_training(net)


def _for_training(net):
    net.compile(CategoricalCrossEntropy(), SGD(momentum=MOMENTUM))
    return net
