"""Data sets: MNIST, data sets in MNIST's format, and your own images."""

from cnnx.data.datasets import class_names, load_dataset
from cnnx.data.digits import prepare_digit
from cnnx.data.folders import load_folder
from cnnx.data.idx import DataError, DataWarning, read_idx
from cnnx.data.images import load_npz, read_image
from cnnx.data.mnist import preprocess_mnist_data
from cnnx.data.scenes import Scenes, make_scenes
from cnnx.data.splitting import split

__all__ = [
    'DataError',
    'DataWarning',
    'Scenes',
    'class_names',
    'load_dataset',
    'load_folder',
    'load_npz',
    'make_scenes',
    'prepare_digit',
    'preprocess_mnist_data',
    'read_idx',
    'read_image',
    'split',
]


def __dir__():
    return __all__
