"""The layers, one small file a kind. LAYERS is the list that files are loaded by: a new kind goes in here."""

from cnnx.layers.activations import LeakyReLU, ReLU, Sigmoid, Tanh
from cnnx.layers.base import Layer
from cnnx.layers.batch_normalization import BatchNormalization
from cnnx.layers.convolutional import Convolutional
from cnnx.layers.dense import Dense
from cnnx.layers.dropout import Dropout
from cnnx.layers.flatten import Flatten
from cnnx.layers.pooling import AveragePooling, GlobalAveragePooling, MaxPooling
from cnnx.layers.softmax import Softmax

LAYERS = {
    kind.__name__: kind
    for kind in (
        *(Convolutional, Dense, BatchNormalization),
        *(ReLU, LeakyReLU, Sigmoid, Tanh, Softmax),
        *(MaxPooling, AveragePooling, GlobalAveragePooling, Flatten, Dropout),
    )
}

__all__ = ['LAYERS', 'Layer', *LAYERS]
