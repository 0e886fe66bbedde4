"""Convolutional networks for the CPU, from scratch: Python layers over compiled Cython kernels."""

from cnnx import augmentation, schedules
from cnnx._version import __version__
from cnnx.checkpoint import CheckpointError
from cnnx.divergence import DivergenceError
from cnnx.history import History
from cnnx.kernels import BACKENDS, BackendError, num_threads, set_num_threads, show_config, use_backend
from cnnx.layers import (
    AveragePooling,
    BatchNormalization,
    Convolutional,
    Dense,
    Dropout,
    Flatten,
    GlobalAveragePooling,
    Layer,
    LeakyReLU,
    MaxPooling,
    ReLU,
    Sigmoid,
    Softmax,
    Tanh,
)
from cnnx.losses import CategoricalCrossEntropy, MeanSquaredError
from cnnx.network import Network
from cnnx.optimizers import SGD, Adagrad, Adam, AdamW, RMSprop

__all__ = [
    'BACKENDS',
    'SGD',
    'Adagrad',
    'Adam',
    'AdamW',
    'AveragePooling',
    'BackendError',
    'BatchNormalization',
    'CategoricalCrossEntropy',
    'CheckpointError',
    'Convolutional',
    'Dense',
    'DivergenceError',
    'Dropout',
    'Flatten',
    'GlobalAveragePooling',
    'History',
    'Layer',
    'LeakyReLU',
    'MaxPooling',
    'MeanSquaredError',
    'Network',
    'RMSprop',
    'ReLU',
    'Sigmoid',
    'Softmax',
    'Tanh',
    '__version__',
    'augmentation',
    'num_threads',
    'schedules',
    'set_num_threads',
    'show_config',
    'use_backend',
]
