"""The layers, one small file a kind. LAYERS is the list that files are loaded by: a new kind goes in here."""

from cnnx.layers.activations import ReLU, Sigmoid
from cnnx.layers.base import Layer
from cnnx.layers.convolutional import Convolutional
from cnnx.layers.dense import Dense
from cnnx.layers.flatten import Flatten
from cnnx.layers.max_pooling import MaxPooling
from cnnx.layers.softmax import Softmax

LAYERS = {kind.__name__: kind for kind in (Convolutional, ReLU, Sigmoid, MaxPooling, Flatten, Dense, Softmax)}

__all__ = ['LAYERS', 'Layer', *LAYERS]
