"""Convolutional networks for the CPU, from scratch: Python layers over compiled Cython kernels."""

from cnnx import (
    augmentation,
    boxes,
    callbacks,
    data,
    initializers,
    layers,
    losses,
    metrics,
    models,
    optimizers,
    schedules,
)
from cnnx._util.hints import explain_names
from cnnx._version import __version__
from cnnx.callbacks import Callback
from cnnx.checkpoint import CheckpointError
from cnnx.kernels import BACKENDS, BackendError, num_threads, set_num_threads, show_config, use_backend
from cnnx.layers import *  # noqa: F403
from cnnx.layers.parameter import Parameter
from cnnx.losses import (
    BinaryCrossEntropy,
    CategoricalCrossEntropy,
    Huber,
    KLDivergence,
    Loss,
    MeanAbsoluteError,
    MeanSquaredError,
)
from cnnx.network import Network
from cnnx.optimizers import *  # noqa: F403
from cnnx.optimizers import Optimizer
from cnnx.training.divergence import DivergenceError
from cnnx.training.history import History

__all__ = [
    'BACKENDS',
    'BackendError',
    'BinaryCrossEntropy',
    'Callback',
    'CategoricalCrossEntropy',
    'CheckpointError',
    'DivergenceError',
    'History',
    'Huber',
    'KLDivergence',
    'Loss',
    'MeanAbsoluteError',
    'MeanSquaredError',
    'Network',
    'Optimizer',
    'Parameter',
    '__version__',
    'augmentation',
    'boxes',
    'callbacks',
    'data',
    'initializers',
    'layers',
    'load',
    'losses',
    'metrics',
    'models',
    'num_threads',
    'optimizers',
    'schedules',
    'set_num_threads',
    'show_config',
    'use_backend',
]
load = Network.load

__all__ += layers.__all__
__all__ += optimizers.__all__

__getattr__ = explain_names(__name__)


def __dir__():
    return __all__
