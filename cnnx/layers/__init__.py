"""The layers: one file for each kind, or for a few alike. A new kind is added to __all__, and is found there."""

from cnnx._util.hints import explain_names
from cnnx.layers.activations import LeakyReLU, ReLU, Sigmoid, Tanh
from cnnx.layers.base import Layer
from cnnx.layers.batch_normalization import BatchNormalization
from cnnx.layers.convolutional import Convolutional
from cnnx.layers.dense import Dense
from cnnx.layers.dropout import Dropout
from cnnx.layers.flatten import Flatten
from cnnx.layers.merging import Add, Concatenate, Multiply
from cnnx.layers.pooling import AveragePooling, GlobalAveragePooling, MaxPooling
from cnnx.layers.softmax import Softmax
from cnnx.layers.wiring import Input

__all__ = [
    'Add',
    'AveragePooling',
    'BatchNormalization',
    'Concatenate',
    'Convolutional',
    'Dense',
    'Dropout',
    'Flatten',
    'GlobalAveragePooling',
    'Input',
    'Layer',
    'LeakyReLU',
    'MaxPooling',
    'Multiply',
    'ReLU',
    'Sigmoid',
    'Softmax',
    'Tanh',
]

LAYERS = {name: globals()[name] for name in __all__ if name not in ('Input', 'Layer')}
__getattr__ = explain_names(__name__)
