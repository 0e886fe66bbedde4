"""Convolutional networks for the CPU, from scratch: Python layers over compiled Cython kernels."""

from cnnx._version import __version__
from cnnx.checkpoint import CheckpointError
from cnnx.divergence import DivergenceError
from cnnx.kernels import BACKENDS, BackendError, num_threads, set_num_threads, show_config, use_backend
from cnnx.layers import Convolutional, Dense, Flatten, Layer, MaxPooling, ReLU, Sigmoid, Softmax
from cnnx.losses import CategoricalCrossEntropy, MeanSquaredError
from cnnx.network import Network
from cnnx.optimizers import SGD, Adagrad, Adam, AdamW, RMSprop
from cnnx.training import History

__all__ = [
    'BACKENDS',
    'SGD',
    'Adagrad',
    'Adam',
    'AdamW',
    'BackendError',
    'CategoricalCrossEntropy',
    'CheckpointError',
    'Convolutional',
    'Dense',
    'DivergenceError',
    'Flatten',
    'History',
    'Layer',
    'MaxPooling',
    'MeanSquaredError',
    'Network',
    'RMSprop',
    'ReLU',
    'Sigmoid',
    'Softmax',
    '__version__',
    'num_threads',
    'set_num_threads',
    'show_config',
    'use_backend',
]
