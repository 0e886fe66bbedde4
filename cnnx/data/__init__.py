"""MNIST, ready to train on, and a reader for the files that it comes in."""

from cnnx.data.idx import DataError, read_idx
from cnnx.data.mnist import preprocess_mnist_data

__all__ = ['DataError', 'preprocess_mnist_data', 'read_idx']
