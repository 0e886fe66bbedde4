"""Random networks that branch and merge, for tests."""

import numpy as np

import cnnx
from cnnx import Add, BatchNormalization, Concatenate, Convolutional, Dense, Dropout, Flatten, Input, Multiply, Softmax

SHAPE = (7, 6, 2)


def random_graph(seed, most_layers=12, dtype='float64', fused=True, shape=SHAPE, weights=None):
    """Return a compiled classifier with random branches, merges and layers, the same for the same seed.

    `weights` is another seed, of the weights.
    """
    rng = np.random.default_rng(seed)
    x = Input(shape)
    values = [x]
    for _ in range(rng.integers(2, most_layers - 2)):
        # Mostly from the newest ones, so that there are chains too.
        value = values[-1 - min(int(rng.geometric(0.5)) - 1, len(values) - 1)]
        same = [other for other in values if other.shape == value.shape]
        choice = rng.integers(0, 10)
        if choice < 2 and len(same) > 1:
            merged = [same[i] for i in rng.integers(0, len(same), rng.integers(2, 4))]
            values.append((Add() if choice else Multiply())(merged))
        elif choice == 2:
            fitting = [other for other in values if other.shape[:2] == value.shape[:2]]
            values.append(Concatenate()([value, fitting[rng.integers(0, len(fitting))]]))
        elif choice == 3:
            values.append(Concatenate(axis=int(rng.integers(0, 3)))([value, same[rng.integers(0, len(same))]]))
        else:
            values.append(random_layer(rng, value.shape)(value))
    poolings = cnnx.GlobalAveragePooling, cnnx.GlobalMaxPooling
    ends = [poolings[rng.integers(0, 2)]()(value) for value in unread(values[1:])]
    h = Concatenate()(ends) if len(ends) > 1 else ends[0]
    y = Softmax()(Dense(output_size=3)(h))
    net = cnnx.Network(inputs=x, outputs=y, seed=seed if weights is None else weights, dtype=dtype, fused=fused)
    net.compile(cnnx.CategoricalCrossEntropy(), cnnx.SGD(momentum=0.9))
    return net


def unread(values):
    read = {read.place for value in values for read in value.reads}
    return [value for value in values if value.place not in read]


def random_layer(rng, shape):
    height, width, channels = shape
    kinds = [
        lambda: Convolutional(int(rng.integers(1, 5)), int(rng.integers(1, 4)), padding='same'),
        lambda: Convolutional(int(rng.integers(1, 20)), 3, padding='same', algorithm='winograd'),
        lambda: Convolutional(3, 3, padding='same', stride=int(rng.integers(1, 3))),
        lambda: Convolutional(2 * channels, 3, padding='same', groups=channels),
        lambda: Convolutional(channels, 2, padding=1, groups=channels, use_bias=False),
        lambda: cnnx.ReLU(),
        lambda: cnnx.LeakyReLU(0.2),
        lambda: cnnx.Tanh(),
        lambda: cnnx.MaxPooling(2, stride=1, padding='same'),
        lambda: cnnx.AveragePooling(2, padding='same'),
        lambda: BatchNormalization(),
        lambda: Dropout(0.2),
        lambda: Convolutional(4, 3, padding=2, dilation=2, use_bias=False),
        lambda: cnnx.TransposedConvolutional(
            int(rng.integers(1, 4)), (3, 2), stride=(int(rng.integers(1, 3)), 1), padding='same'
        ),
        lambda: cnnx.UpSampling((1, 2), interpolation='bilinear'),
        lambda: cnnx.UpSampling((2, 1)),
        lambda: cnnx.ZeroPadding((0, 1)),
        lambda: cnnx.Cropping(((0, int(height > 3)), (int(width > 3), 0))),
        lambda: cnnx.Reshape((width, height, channels)),
        lambda: cnnx.Sigmoid(),
        lambda: cnnx.GroupNormalization(1),
        lambda: cnnx.LayerNormalization(epsilon=0.1),
        lambda: over_signal(shape, cnnx.Convolutional1D(channels, 3, padding='same', dilation=int(rng.integers(1, 3)))),
        lambda: over_signal(shape, cnnx.MaxPooling1D(3, stride=1, padding='same')),
        lambda: over_signal(shape, cnnx.AveragePooling1D(2, stride=1, padding='same')),
        *(cnnx.ELU, cnnx.Softplus, cnnx.SiLU, cnnx.GELU, cnnx.HardSwish, cnnx.PReLU),
    ]
    return kinds[rng.integers(0, len(kinds))]()


def over_signal(shape, layer):
    """Return a function of a value of this shape that calls a layer on its pixels, one row after the other."""
    height, width, channels = shape
    to_signal, back = cnnx.Reshape((height * width, channels)), cnnx.Reshape(shape)
    return lambda value: back(layer(to_signal(value)))


def residual(seed=0, dtype='float64', fused=True, shape=SHAPE):
    """Return a compiled network of two residual blocks with a Flatten, and a Dropout between merges."""
    x = Input(shape)
    h = cnnx.ReLU()(Convolutional(4, 3, padding='same')(x))
    for _ in range(2):
        inner = cnnx.ReLU()(BatchNormalization()(Convolutional(4, 3, padding='same')(h)))
        inner = BatchNormalization()(Convolutional(4, 3, padding='same')(inner))
        h = Dropout(0.3)(cnnx.ReLU()(Add()([inner, h])))
    y = Softmax()(Dense(output_size=3)(Flatten()(h)))
    net = cnnx.Network(inputs=x, outputs=y, seed=seed, dtype=dtype, fused=fused)
    net.compile(cnnx.CategoricalCrossEntropy(), cnnx.SGD(momentum=0.9))
    return net


def data(n, seed=0, dtype='float64'):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, *SHAPE)).astype(dtype), rng.integers(0, 3, n)
