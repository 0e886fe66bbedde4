"""Networks of all kinds of layers that run in blocks."""

import numpy as np

import cnnx
from cnnx import (
    SGD,
    AveragePooling,
    BatchNormalization,
    BinaryCrossEntropy,
    CategoricalCrossEntropy,
    Convolutional,
    Dense,
    Dropout,
    Flatten,
    GlobalAveragePooling,
    LeakyReLU,
    MaxPooling,
    MeanSquaredError,
    ReLU,
    Sigmoid,
    Softmax,
    Tanh,
)

SHAPE = (12, 13, 2)


def first(filters=5, kernel=3, **settings):
    return Convolutional(filters, kernel, input_shape=SHAPE, **settings)


def winograd(filters):
    return Convolutional(filters, 3, algorithm='winograd')


def dense(*layers):
    return Flatten(), Dense(output_size=9), *layers


def end():
    return Flatten(), Dense(output_size=4), Softmax()


# Layers of all kinds that blocks run.
ALL_KINDS = {
    'Tanh, then pooling': lambda: (first(), Tanh(), MaxPooling(2), *end()),
    'pooling, then Tanh': lambda: (first(17), MaxPooling(2), Tanh(), *end()),
    'LeakyReLU, then pooling': lambda: (first(), LeakyReLU(0.3), MaxPooling((3, 2), stride=2), *end()),
    'Sigmoid everywhere': lambda: (first(), Sigmoid(), *dense(Sigmoid()), *dense(Sigmoid()), *end()),
    "Winograd's method": lambda: (
        (
            first(17, padding='same', algorithm='winograd'),
            ReLU(),
            MaxPooling(2),
            winograd(6),
            Tanh(),
            winograd(20),
            *end(),
        )
    ),
    'no bias': lambda: (first(12, use_bias=False), ReLU(), *dense(ReLU()), *end()),
    'ReLU twice': lambda: (first(), ReLU(), ReLU(), *dense(ReLU(), ReLU()), *end()),
    'activations twice': lambda: (
        (first(), LeakyReLU(0.2), Tanh(), MaxPooling(3, stride=2), Sigmoid(), *dense(ReLU(), Tanh(), ReLU()), *end())
    ),
    'an activation after Flatten': lambda: (
        first(),
        MaxPooling(2),
        Flatten(),
        Tanh(),
        Dense(output_size=4),
        Softmax(),
    ),
    'pooling first': lambda: (MaxPooling(2, input_shape=SHAPE), Convolutional(3, 3), *end()),
    'pooling over the edges': lambda: (first(), Tanh(), MaxPooling(3, stride=2, padding='same'), *end()),
    'overlapping pools, twice': lambda: (first(), MaxPooling(3, stride=1), MaxPooling((2, 3), stride=1), *end()),
    'average pooling': lambda: (first(), ReLU(), AveragePooling(2), Convolutional(17, 2), AveragePooling(2), *end()),
    'average pooling over the edges': lambda: (
        (first(), AveragePooling(2, padding='same'), Tanh(), AveragePooling(3, stride=2, padding='same'), *end())
    ),
    'average pooling first': lambda: (AveragePooling((2, 3), stride=(3, 4), input_shape=SHAPE), ReLU(), *end()),
    'global average pooling': lambda: (first(17), ReLU(), GlobalAveragePooling(), Dense(output_size=4), Softmax()),
    'global average pooling, then Tanh': lambda: (first(), GlobalAveragePooling(), Tanh(), *dense(ReLU()), *end()[1:]),
    'an activation first': lambda: (Tanh(input_shape=SHAPE), first(), ReLU(), *end()),
    'an activation and pooling first': lambda: (LeakyReLU(input_shape=SHAPE), MaxPooling(2), Tanh(), *end()),
    'Flatten first': lambda: (Flatten(input_shape=SHAPE), Tanh(), *dense(ReLU()), *end()[1:]),
    'dropout first': lambda: (Dropout(0.3, input_shape=SHAPE), first(), ReLU(), MaxPooling(2), *end()),
    'dropout after dense layers': lambda: (
        (first(), ReLU(), *dense(ReLU(), Dropout(0.5)), *dense(Dropout(0.2)), *dense(LeakyReLU(), Dropout(0.4)), *end())
    ),
    'dropout after Tanh': lambda: (first(), Tanh(), Dropout(0.5), *dense(Sigmoid(), Dropout(0.5), Tanh()), *end()),
    'dropout twice': lambda: (
        first(),
        ReLU(),
        Dropout(0.2),
        Dropout(0.3),
        *dense(ReLU(), Dropout(0), Dropout(0.1)),
        *end(),
    ),
    'dropout between ReLU and pooling': lambda: (first(), ReLU(), Dropout(0.4), MaxPooling(2), Dropout(0.2), *end()),
    'dropout before activations': lambda: (
        first(),
        Dropout(0.3),
        Sigmoid(),
        *dense(ReLU(), Dropout(0.4), Sigmoid()),
        *end(),
    ),
    'dropout at the end': lambda: (first(), ReLU(), Flatten(), Dense(output_size=4), Dropout(0.2), Softmax()),
    'normalized': lambda: (
        (first(), BatchNormalization(), ReLU(), MaxPooling(2), *dense(BatchNormalization(), Tanh()), *end())
    ),
    'normalized first': lambda: (
        BatchNormalization(input_shape=SHAPE),
        Tanh(),
        Dropout(0.2),
        AveragePooling(2),
        *end(),
    ),
    'normalized twice': lambda: (
        (first(), BatchNormalization(), BatchNormalization(), Flatten(), Dropout(0.2), BatchNormalization(), *end()[1:])
    ),
}
# Layers, the loss, and whether blocks can run them.
NETWORKS = {
    'convolution alone': lambda: ((first(), *end()), CategoricalCrossEntropy(), True),
    'convolution and ReLU': lambda: ((first(17), ReLU(), *end()), CategoricalCrossEntropy(), True),
    'ReLU, then pooling': lambda: ((first(), ReLU(), MaxPooling(2), *end()), CategoricalCrossEntropy(), True),
    'pooling, then ReLU': lambda: ((first(), MaxPooling(2), ReLU(), *end()), CategoricalCrossEntropy(), True),
    'ReLU after Flatten': lambda: (
        (first(), MaxPooling(3, stride=2), Flatten(), ReLU(), Dense(output_size=4), Softmax()),
        CategoricalCrossEntropy(),
        True,
    ),
    'two convolutions': lambda: (
        (first(6, padding='same'), ReLU(), MaxPooling(2), Convolutional(9, 3), MaxPooling(2), *end()),
        CategoricalCrossEntropy(),
        True,
    ),
    'convolutions in a row': lambda: (
        (first(17, (3, 2), padding='same'), ReLU(), Convolutional(3, 3, stride=2), ReLU(), *end()),
        CategoricalCrossEntropy(),
        True,
    ),
    'strides': lambda: (
        (first(6, (2, 3), stride=(3, 2), padding='same'), ReLU(), MaxPooling((1, 2), stride=3), *end()),
        CategoricalCrossEntropy(),
        True,
    ),
    'logits': lambda: ((first(), ReLU(), *end()[:2]), CategoricalCrossEntropy(from_logits=True), True),
    'means of squares': lambda: ((first(), ReLU(), MaxPooling(2), *end()[:2], ReLU()), MeanSquaredError(), True),
    'normalized, then Flatten at the end': lambda: (
        (first(), ReLU(), MaxPooling(4), Convolutional(2, 2), BatchNormalization(), Flatten()),
        MeanSquaredError(),
        True,
    ),
    'images come out': lambda: ((first(2, padding='same'), ReLU(), Convolutional(1, 3)), MeanSquaredError(), True),
    'Softmax and means of squares': lambda: ((first(), ReLU(), *end()), MeanSquaredError(), True),
    'a class a position': lambda: (
        (first(), ReLU(), MaxPooling(2), Convolutional(4, 2), Softmax()),
        CategoricalCrossEntropy(label_smoothing=0.1, ignore_label=3),
        True,
    ),
    'a class a position, logits': lambda: (
        (first(padding='same'), Tanh(), Convolutional(3, 1)),
        CategoricalCrossEntropy(from_logits=True),
        True,
    ),
    'labels': lambda: ((first(), ReLU(), *end()[:2], Sigmoid()), BinaryCrossEntropy(), True),
    'Sigmoid': lambda: ((first(), Sigmoid(), MaxPooling(2), *end()), CategoricalCrossEntropy(), True),
    'dense layers alone': lambda: (
        (Dense(int(np.prod(SHAPE)), 33), ReLU(), Dense(output_size=16), Dense(output_size=4), ReLU(), Softmax()),
        CategoricalCrossEntropy(),
        True,
    ),
    'Softmax inside': lambda: ((first(), ReLU(), *end(), Dense(output_size=3)), MeanSquaredError(), False),
    **{name: lambda layers=layers: (layers(), CategoricalCrossEntropy(), True) for name, layers in ALL_KINDS.items()},
}


def network(name, dtype='float64', seed=0):
    net = cnnx.Network(seed=seed, dtype=dtype)
    layers, loss, _ = NETWORKS[name]()
    for layer in layers:
        net.add(layer)
    for index, parameter in enumerate(net.parameters.values()):
        if parameter.name == 'bias':
            parameter.value = np.random.default_rng(index).normal(size=parameter.value.shape) / 4
    net.compile(loss, SGD(momentum=0.9))
    return net


def data(net, n, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, *net.layers[0].input_shape)).astype(net.dtype)
    shape = net.layers[-1].shape
    if isinstance(net.loss, CategoricalCrossEntropy):
        return x, rng.integers(0, shape[-1], (n, *shape[:-1]))
    return x, rng.random((n, *shape)).astype(net.dtype)
