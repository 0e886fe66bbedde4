"""Networks that between them have every layer, and every way in which layers are one step, for tests of exports."""

import layer_cases
import numpy as np
from graph_networks import random_graph

import cnnx

IMAGE = (7, 8, 2)
CHAINS = {
    'relu_max': lambda: [cnnx.Convolutional(6, 3, padding='same'), cnnx.ReLU(), cnnx.MaxPooling(2)],
    'norm_elu_max': lambda: [cnnx.Convolutional(17, 2), cnnx.BatchNormalization(), cnnx.ELU(0.5), cnnx.MaxPooling(2)],
    'gelu_max': lambda: [cnnx.Convolutional(3, 1), cnnx.GELU(), cnnx.MaxPooling(2, padding='same')],
    'leaky_mean': lambda: [
        cnnx.Convolutional(34, 3),
        cnnx.LeakyReLU(0.1),
        cnnx.AveragePooling(2, padding='same'),
    ],
    'overlapping': lambda: [cnnx.Convolutional(5, 3, stride=2, padding='same'), cnnx.MaxPooling(3, stride=1)],
    'whole_mean': lambda: [
        cnnx.Convolutional(4, 3, groups=2),
        cnnx.Dropout(0.5),
        cnnx.ReLU(),
        cnnx.GlobalAveragePooling(),
    ],
    'dilated_max': lambda: [cnnx.Convolutional(4, 2, dilation=2, padding=1), cnnx.GlobalMaxPooling()],
    'transposed_max': lambda: [
        cnnx.TransposedConvolutional(3, 3, stride=2, padding=1),
        cnnx.Tanh(),
        cnnx.MaxPooling(2),
    ],
    'norm_max': lambda: [cnnx.BatchNormalization(), cnnx.GlobalMaxPooling()],
    'far_padding': lambda: [cnnx.Convolutional(4, (1, 2), padding=(2, 3)), cnnx.ReLU(), cnnx.MaxPooling(2)],
    'dense': lambda: [cnnx.Flatten(), cnnx.Dense(13), cnnx.PReLU(), cnnx.Dense(3), cnnx.Sigmoid()],
    'logarithms': lambda: [cnnx.Flatten(), cnnx.Dense(5), cnnx.LogSoftmax()],
    'relu_up_to_max': lambda: [cnnx.Convolutional(5, 3), cnnx.ReLU(max_value=0.5), cnnx.MaxPooling(2)],
    'relu_up_to_mean': lambda: [cnnx.Convolutional(5, 3), cnnx.ReLU(max_value=0.5), cnnx.AveragePooling(3)],
    'relu_up_to': lambda: [cnnx.ReLU(max_value=0.5)],
    'selu_max': lambda: [cnnx.Convolutional(4, 2), cnnx.SELU(), cnnx.MaxPooling(3, padding=1)],
    'hard_sigmoid_mean': lambda: [cnnx.Convolutional(3, 1), cnnx.HardSigmoid(0.3, 0.4), cnnx.AveragePooling((2, 3))],
    'rescaled': lambda: [
        cnnx.Rescaling((0.5, -2), 0.1),
        cnnx.Convolutional(3, 2, padding=1),
        cnnx.Rescaling(-3, (1, 2, 0)),
        cnnx.BatchNormalization(),
        cnnx.ReLU(),
    ],
    'permuted': lambda: [cnnx.Permute((2, 0, 1)), cnnx.Convolutional(3, 2), cnnx.Permute((1, 0, 2)), cnnx.Flatten()],
    'ceil_max': lambda: [cnnx.Convolutional(3, 2), cnnx.MaxPooling(2, padding=((0, 1), (1, 0)), ceil_mode=True)],
    'spread_max': lambda: [cnnx.Convolutional(3, 2), cnnx.GELU(), cnnx.MaxPooling(2, stride=3, dilation=2, padding=1)],
    'spread_mean': lambda: [
        cnnx.Convolutional(9, 2),
        cnnx.AveragePooling((2, 3), stride=(3, 7), dilation=(2, 3), padding=((1, 0), (2, 3)), ceil_mode=True),
    ],
    'with_padding': lambda: [
        cnnx.AveragePooling(3, stride=2, padding=((2, 1), (0, 1)), ceil_mode=True, count_include_pad=True),
        cnnx.AveragePooling(2, stride=1, dilation=2, padding='same', count_include_pad=True),
        cnnx.MaxPooling(2, stride=1, dilation=(1, 3), padding=(1, 2)),
    ],
    'of_signals': lambda: [cnnx.Reshape((14, 8)), cnnx.Convolutional1D(3, 4), cnnx.GlobalAveragePooling()],
    'nothing': lambda: [cnnx.Flatten(), cnnx.Dropout(0.5)],
}
KINDS = tuple(layer_cases.ROWS)
GRAPHS = tuple(f'graph_{seed}' for seed in range(4))
NAMES = (*KINDS, *CHAINS, *GRAPHS)
# By themselves these have no form in integers.
IN_INTEGERS = tuple(name for name in NAMES if name not in ('Softmax', 'LogSoftmax'))


def network(name):
    """Return a network of float64, with random numbers in all of its parameters."""
    rng = np.random.default_rng(1)
    if name in GRAPHS:
        net = random_graph(int(name.partition('_')[2]))
    else:
        layer, shape = layer_cases.example(name) if name in KINDS else (None, IMAGE)
        layers = CHAINS[name]() if layer is None else [layer]
        layers[0].input_shape = shape
        net = cnnx.Network(layers, seed=0, dtype='float64')
    for parameter in net.parameters.values():
        if parameter.name == 'running_variance':
            parameter.value = rng.uniform(0.5, 2, parameter.value.shape)
        elif parameter.name != 'weights':
            parameter.value = rng.normal(0.2, 0.5, parameter.value.shape)
    return net


def samples(net, count=12, seed=0):
    return np.random.default_rng(seed).normal(size=(count, *net.input_shape))
