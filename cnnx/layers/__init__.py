"""The layers: one file for each kind, or for a few alike. A new kind is added to __all__, and is found there."""

from cnnx._util.hints import explain_names, public_names
from cnnx.layers.activations import (
    ELU,
    GELU,
    SELU,
    HardSigmoid,
    HardSwish,
    LeakyReLU,
    PReLU,
    ReLU,
    Sigmoid,
    SiLU,
    Softplus,
    Tanh,
)
from cnnx.layers.base import Layer
from cnnx.layers.batch_normalization import BatchNormalization
from cnnx.layers.convolutional import Convolutional
from cnnx.layers.dense import Dense
from cnnx.layers.dropout import Dropout
from cnnx.layers.flatten import Flatten, Reshape
from cnnx.layers.group_normalization import GroupNormalization, LayerNormalization
from cnnx.layers.merging import Add, Concatenate, Multiply
from cnnx.layers.padding import Cropping, ZeroPadding
from cnnx.layers.permute import Permute
from cnnx.layers.pooling import AveragePooling, GlobalAveragePooling, GlobalMaxPooling, MaxPooling
from cnnx.layers.rescaling import Rescaling
from cnnx.layers.signals import AveragePooling1D, Convolutional1D, MaxPooling1D
from cnnx.layers.softmax import LogSoftmax, Softmax
from cnnx.layers.transposed_convolutional import TransposedConvolutional
from cnnx.layers.upsampling import UpSampling
from cnnx.layers.wiring import Input

__all__ = [
    'ELU',
    'GELU',
    'SELU',
    'Add',
    'AveragePooling',
    'AveragePooling1D',
    'BatchNormalization',
    'Concatenate',
    'Convolutional',
    'Convolutional1D',
    'Cropping',
    'Dense',
    'Dropout',
    'Flatten',
    'GlobalAveragePooling',
    'GlobalMaxPooling',
    'GroupNormalization',
    'HardSigmoid',
    'HardSwish',
    'Input',
    'Layer',
    'LayerNormalization',
    'LeakyReLU',
    'LogSoftmax',
    'MaxPooling',
    'MaxPooling1D',
    'Multiply',
    'PReLU',
    'Permute',
    'ReLU',
    'Rescaling',
    'Reshape',
    'SiLU',
    'Sigmoid',
    'Softmax',
    'Softplus',
    'Tanh',
    'TransposedConvolutional',
    'UpSampling',
    'ZeroPadding',
]

LAYERS = {name: globals()[name] for name in __all__ if name not in ('Input', 'Layer')}
__getattr__, __dir__ = explain_names(__name__), public_names(__name__)
