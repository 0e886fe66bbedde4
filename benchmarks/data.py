"""Data of the benchmarks: MNIST, or random images."""

import functools

import numpy as np

from cnnx.data import preprocess_mnist_data


@functools.cache
def mnist():
    """Return all of MNIST with class indices as labels: ((x_train, y_train), (x_test, y_test))."""
    return tuple((x, y.argmax(axis=1)) for x, y in preprocess_mnist_data(full=True))


def samples_for(net, source):
    """Return images (N, H, W, C) and labels (N,) or (N, H, W): of MNIST, "train" or "test", or N random ones."""
    if isinstance(source, str):
        return mnist()[('train', 'test').index(source)]
    rng = np.random.default_rng(0)
    *positions, classes = net.layers[-1].shape
    return rng.random((source, *net.layers[0].input_shape), np.float32), rng.integers(0, classes, (source, *positions))
