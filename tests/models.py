"""Networks and data that several tests train."""

import numpy as np

import cnnx


def lenet5(seed=0, dtype='float32', momentum=0.9):
    net = cnnx.Network(seed=seed, dtype=dtype)
    net.add(cnnx.Convolutional(input_shape=(28, 28, 1), num_filters=6, kernel_size=(5, 5), padding='same'))
    net.add(cnnx.ReLU())
    net.add(cnnx.MaxPooling(pool_size=(2, 2), stride=(2, 2)))
    net.add(cnnx.Convolutional(input_shape=(14, 14, 6), num_filters=16, kernel_size=(5, 5), padding='valid'))
    net.add(cnnx.ReLU())
    net.add(cnnx.MaxPooling(pool_size=(2, 2), stride=(2, 2)))
    net.add(cnnx.Flatten())
    net.add(cnnx.Dense(400, 120))
    net.add(cnnx.ReLU())
    net.add(cnnx.Dense(120, 84))
    net.add(cnnx.ReLU())
    net.add(cnnx.Dense(84, 10))
    net.add(cnnx.Softmax())
    net.compile(cnnx.CategoricalCrossEntropy(), optimizer=cnnx.SGD(momentum=momentum))
    return net


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


def small_data(n=50, seed=0):
    """Images with a bright row that tells their class."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, n)
    x = rng.random((n, 6, 6, 1), np.float32)
    x[np.arange(n), 2 * labels] += 1
    return x, labels


def bits(net):
    return {name: parameter.value.tobytes() for name, parameter in net.parameters.items()}
