"""A row for each kind of layer: how to draw one of any shape. What holds for all layers is tested over these."""

import numpy as np
from hypothesis import strategies as st

from cnnx import (
    AveragePooling,
    BatchNormalization,
    Convolutional,
    Dense,
    Dropout,
    Flatten,
    GlobalAveragePooling,
    LeakyReLU,
    MaxPooling,
    ReLU,
    Sigmoid,
    Softmax,
    Tanh,
)

sizes = st.integers(1, 7)
small = st.integers(1, 4)


@st.composite
def convolutional(draw):
    kernel = draw(small), draw(small)
    padding = draw(st.sampled_from(['valid', 'same']))
    least = kernel if padding == 'valid' else (1, 1)
    image = tuple(draw(st.integers(size, size + 5)) for size in least)
    stride = draw(small), draw(small)
    shape = (*image, draw(st.integers(1, 3)))
    return Convolutional(draw(small), kernel, stride=stride, padding=padding, input_shape=shape), shape


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
    return Dense(inputs, draw(sizes)), (inputs,)


shapes = st.lists(small, min_size=1, max_size=3).map(tuple)
images = st.tuples(small, small, small)


def of_any_shape(kind, *arguments):
    return st.tuples(st.builds(kind, *arguments), shapes)


momenta = st.floats(0, 0.99)


KINDS = {
    'Convolutional': convolutional(),
    'ReLU': of_any_shape(ReLU),
    'Sigmoid': of_any_shape(Sigmoid),
    'LeakyReLU': of_any_shape(LeakyReLU, st.floats(0, 2)),
    'Tanh': of_any_shape(Tanh),
    'Dropout': of_any_shape(Dropout, st.floats(0, 0.9)),
    'BatchNormalization': st.tuples(
        st.builds(BatchNormalization, momenta, st.floats(1e-5, 1)), st.tuples(sizes) | images
    ),
    'MaxPooling': pooling(MaxPooling),
    'AveragePooling': pooling(AveragePooling),
    'GlobalAveragePooling': st.tuples(st.builds(GlobalAveragePooling), images),
    'Flatten': of_any_shape(Flatten),
    'Dense': dense(),
    'Softmax': st.tuples(st.builds(Softmax), st.tuples(sizes)),
}


def distinct(shape, seed, dtype=np.float64):
    """Numbers around 0 in random order, no two nearer to each other than 0.01, none nearer to 0 than 0.005."""
    size = int(np.prod(shape))
    numbers = (np.arange(size) - size // 2) * 0.01 + 0.005
    return np.random.default_rng(seed).permutation(numbers).reshape(shape).astype(dtype)
