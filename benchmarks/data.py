"""What is trained on."""

import functools

import numpy as np

from cnnx.data import preprocess_mnist_data


@functools.cache
def mnist():
    """Return all of MNIST with labels as numbers: ((x_train, y_train), (x_test, y_test))."""
    return tuple((x, y.argmax(axis=1)) for x, y in preprocess_mnist_data(full=True))


def samples_for(net, source):
    """Return images (N, H, W, C) and labels (N,): MNIST's for 'train' or 'test', or so many random ones."""
    if isinstance(source, str):
        return mnist()[('train', 'test').index(source)]
    rng = np.random.default_rng(0)
    return rng.random((source, *net.layers[0].input_shape), np.float32), rng.integers(0, 10, source)
