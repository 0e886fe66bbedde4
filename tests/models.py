"""Networks and data that several tests train."""

import numpy as np

import cnnx
from cnnx import models


def lenet5(seed=0, **options):
    return models.lenet5(seed, **options)


def small_network(seed=0, dtype='float32', filters=3, activation=cnnx.ReLU, loss=None):
    """A network of every weighted kind for images (6, 6, 1) and 3 classes."""
    net = cnnx.Network(seed=seed, dtype=dtype)
    net.add(cnnx.Convolutional(filters, 3, input_shape=(6, 6, 1)))
    net.add(activation())
    net.add(cnnx.MaxPooling(2))
    net.add(cnnx.Flatten())
    net.add(cnnx.Dense(output_size=3))
    net.add(cnnx.Softmax())
    net.compile(loss or cnnx.CategoricalCrossEntropy(), cnnx.SGD(momentum=0.9))
    return net


def network_with_training_modes(seed=0):
    """A small network with dropout and batch normalization, which work in another way in training."""
    net = cnnx.Network(seed=seed)
    net.add(cnnx.Convolutional(3, 3, input_shape=(6, 6, 1)))
    layers = cnnx.BatchNormalization(), cnnx.ReLU(), cnnx.Dropout(0.4), cnnx.Flatten(), cnnx.Dense(output_size=3)
    for layer in (*layers, cnnx.Softmax()):
        net.add(layer)
    net.compile(cnnx.CategoricalCrossEntropy(), cnnx.SGD(momentum=0.9))
    return net


def small_data(n=50, seed=0, channels=1):
    """Images with a bright row that depends on their class."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, n)
    x = rng.random((n, 6, 6, channels), np.float32)
    x[np.arange(n), 2 * labels] += 1
    return x, labels


def bits(net):
    return {name: parameter.value.tobytes() for name, parameter in net.parameters.items()}


def cut(x, y, *weights, size=8):
    return [tuple(array[first : first + size] for array in (x, y, *weights)) for first in range(0, len(x), size)]


class Unsized:
    """An iterable that is no sequence and has no length."""

    def __init__(self, batches):
        self.batches = batches

    def __iter__(self):
        return iter(self.batches)
