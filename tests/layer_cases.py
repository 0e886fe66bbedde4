"""A row for each kind of layer. What holds for all layers is tested over these."""

from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st

import cnnx
from cnnx.layers import LAYERS

sizes = st.integers(1, 7)
small = st.integers(1, 4)


@st.composite
def convolutional(draw):
    kernel = draw(small), draw(small)
    padding = draw(st.sampled_from(['valid', 'same', 2, (0, 3)]))
    dilation = draw(st.sampled_from([1, 1, 2, (1, 3)]))
    extents = [apart * (size - 1) + 1 for apart, size in zip(np.broadcast_to(dilation, 2), kernel, strict=True)]
    least = (1, 1) if padding == 'same' else tuple(map(int, extents))
    image = tuple(draw(st.integers(size, size + 5)) for size in least)
    stride = draw(small), draw(small)
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    shape = (*image, groups * draw(st.integers(1, 2)))
    layer = cnnx.Convolutional(
        groups * draw(st.integers(1, 3)),
        kernel,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        use_bias=draw(st.booleans()),
        input_shape=shape,
    )
    return layer, shape


@st.composite
def pooling(draw, kind):
    pool = draw(small), draw(small)
    padding = draw(st.sampled_from(['valid', 'same']))
    least = pool if padding == 'valid' else (1, 1)
    shape = (*(draw(st.integers(size, size + 5)) for size in least), draw(st.integers(1, 3)))
    return kind(pool, stride=draw(st.none() | st.tuples(small, small)), padding=padding), shape


@st.composite
def dense(draw):
    inputs = draw(sizes)
    return cnnx.Dense(inputs, draw(sizes), use_bias=draw(st.booleans())), (inputs,)


shapes = st.lists(small, min_size=1, max_size=3).map(tuple)
images = st.tuples(small, small, small)


def of_any_shape(kind, *arguments):
    return st.tuples(st.builds(kind, *arguments), shapes)


def of_images(kind):
    return st.tuples(st.builds(kind), images)


momenta = st.floats(0, 0.99)


class Row(NamedTuple):
    """What tests need to know of a kind.

    Attributes:
        drawn: gives (a layer that is not built, the shape of its samples), of any kind that there is.
        shape: of a sample, for an example.
        arguments: of the constructor, by name, for an example.
    """

    drawn: st.SearchStrategy
    shape: tuple = (3, 2)
    arguments: dict | None = None


IMAGE = (3, 4, 2)
ROWS = {
    'Convolutional': Row(convolutional(), IMAGE, {'num_filters': 2, 'kernel_size': 2, 'padding': 'same'}),
    'ReLU': Row(of_any_shape(cnnx.ReLU)),
    'Sigmoid': Row(of_any_shape(cnnx.Sigmoid)),
    'LeakyReLU': Row(of_any_shape(cnnx.LeakyReLU, st.floats(0, 2))),
    'Tanh': Row(of_any_shape(cnnx.Tanh)),
    'Dropout': Row(of_any_shape(cnnx.Dropout, st.floats(0, 0.9)), arguments={'rate': 0.4}),
    'BatchNormalization': Row(
        st.tuples(
            st.builds(cnnx.BatchNormalization, momentum=momenta, epsilon=st.floats(1e-5, 1)), st.tuples(sizes) | images
        ),
        IMAGE,
    ),
    'MaxPooling': Row(pooling(cnnx.MaxPooling), IMAGE, {'pool_size': 3, 'stride': 2, 'padding': 'same'}),
    'AveragePooling': Row(pooling(cnnx.AveragePooling), IMAGE, {'pool_size': 3, 'stride': 2, 'padding': 'same'}),
    'GlobalAveragePooling': Row(of_images(cnnx.GlobalAveragePooling), IMAGE),
    'Flatten': Row(of_any_shape(cnnx.Flatten)),
    'Dense': Row(dense(), (3,), {'output_size': 2}),
    'Softmax': Row(of_any_shape(cnnx.Softmax), (3,)),
}
KINDS = {kind: row.drawn for kind, row in ROWS.items()}
# Their x is a list of arrays: tests/layers/test_merging.py.
MERGING = {kind for kind, layer in LAYERS.items() if layer.merges}


def example(kind):
    """Return a layer of a kind that is not built, and the shape of its samples."""
    return LAYERS[kind](**(ROWS[kind].arguments or {})), ROWS[kind].shape


def distinct(shape, seed, dtype=np.float64):
    """Numbers around 0 in random order, no two nearer to each other than 0.01, none nearer to 0 than 0.005."""
    size = int(np.prod(shape))
    numbers = (np.arange(size) - size // 2) * 0.01 + 0.005
    return np.random.default_rng(seed).permutation(numbers).reshape(shape).astype(dtype)
