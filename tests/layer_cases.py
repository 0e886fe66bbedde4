"""A row for each kind of layer. What holds for all layers is tested over these."""

from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st

import cnnx
from cnnx.layers import LAYERS

sizes = st.integers(1, 7)
small = st.integers(1, 4)
few = st.integers(0, 3)
shapes = st.lists(small, min_size=1, max_size=3).map(tuple)
images = st.tuples(small, small, small)


@st.composite
def convolutional(draw):
    kernel = draw(small), draw(small)
    padding = draw(st.sampled_from(['valid', 'same', 2, (0, 3)]))
    dilation = draw(st.sampled_from([1, 1, 2, (1, 3)]))
    by_winograd = draw(st.integers(0, 3)) == 0
    if by_winograd:
        kernel, dilation = (3, 3), 1
    extents = [apart * (size - 1) + 1 for apart, size in zip(np.broadcast_to(dilation, 2), kernel, strict=True)]
    least = (1, 1) if padding == 'same' else tuple(map(int, extents))
    image = tuple(draw(st.integers(size, size + 5)) for size in least)
    stride = 1 if by_winograd else (draw(small), draw(small))
    groups = 1 if by_winograd else draw(st.sampled_from([1, 1, 2, 3]))
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
        algorithm='winograd' if by_winograd else 'auto',
    )
    return layer, shape


@st.composite
def transposed_convolutional(draw):
    kernel = draw(sizes), draw(small)
    most = tuple((size - 1) // 2 for size in kernel)
    layer = cnnx.TransposedConvolutional(
        draw(st.integers(1, 3)),
        kernel,
        stride=(draw(small), draw(small)),
        padding=draw(st.sampled_from(['valid', 'same', most])),
        use_bias=draw(st.booleans()),
    )
    return layer, draw(images)


@st.composite
def cropping(draw):
    sides = draw(st.tuples(*[st.tuples(few, few)] * 2))
    return cnnx.Cropping(sides), (*(sum(pair) + draw(small) for pair in sides), draw(small))


@st.composite
def reshape(draw):
    target = draw(shapes)
    hidden = draw(st.sampled_from([None, *range(len(target))]))
    size = int(np.prod(target))
    shape = draw(st.sampled_from([(size,), (1, size), (size, 1, 1), target[::-1]]))
    return cnnx.Reshape([-1 if axis == hidden else size for axis, size in enumerate(target)]), shape


@st.composite
def group_normalization(draw):
    groups, shape = draw(small), draw(shapes)
    return cnnx.GroupNormalization(groups, epsilon=draw(st.floats(1e-3, 1))), (*shape[:-1], groups * draw(small))


@st.composite
def pooling(draw, kind):
    pool = draw(small), draw(small)
    dilation = draw(st.sampled_from([(1, 1), (1, 1), (2, 1), (1, 3)]))
    extents = [apart * (size - 1) + 1 for apart, size in zip(dilation, pool, strict=True)]
    pads = tuple(tuple(draw(st.integers(0, extent - 1)) for _ in range(2)) for extent in extents)
    padding = draw(st.sampled_from(['valid', 'same', pads]))
    least = (1, 1) if padding == 'same' else extents
    shape = (*(draw(st.integers(size, size + 5)) for size in least), draw(st.integers(1, 3)))
    settings = {'count_include_pad': draw(st.booleans())} if kind is cnnx.AveragePooling else {}
    stride, ceil_mode = draw(st.none() | st.tuples(small, small)), draw(st.booleans())
    return kind(pool, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode, **settings), shape


@st.composite
def convolutional_1d(draw):
    kernel, groups, dilation = draw(small), draw(st.integers(1, 2)), draw(st.integers(1, 2))
    layer = cnnx.Convolutional1D(
        groups * draw(st.integers(1, 3)),
        kernel,
        stride=draw(small),
        padding=draw(st.sampled_from(['valid', 'same', 2])),
        dilation=dilation,
        groups=groups,
        use_bias=draw(st.booleans()),
    )
    return layer, (dilation * (kernel - 1) + draw(small), groups * draw(st.integers(1, 2)))


@st.composite
def pooling_1d(draw, kind):
    pool, padding = draw(small), draw(st.sampled_from(['valid', 'same']))
    shape = (draw(st.integers(pool if padding == 'valid' else 1, 9)), draw(st.integers(1, 3)))
    return kind(pool, stride=draw(st.none() | small), padding=padding), shape


@st.composite
def permute(draw):
    shape = draw(shapes)
    return cnnx.Permute(draw(st.permutations(range(len(shape))))), shape


@st.composite
def rescaling(draw):
    shape, number = draw(shapes), st.floats(-2, 2)
    numbers = number | st.lists(number, min_size=shape[-1], max_size=shape[-1])
    return cnnx.Rescaling(draw(numbers), draw(numbers)), shape


@st.composite
def dense(draw):
    inputs = draw(sizes)
    return cnnx.Dense(inputs, draw(sizes), use_bias=draw(st.booleans())), (inputs,)


def of_any_shape(kind, *arguments):
    return st.tuples(st.builds(kind, *arguments), shapes)


def of_images_or_signals(kind):
    return st.tuples(st.builds(kind), images | st.tuples(small, small))


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
    'TransposedConvolutional': Row(
        transposed_convolutional(), IMAGE, {'num_filters': 2, 'kernel_size': 3, 'stride': 2, 'padding': 'same'}
    ),
    'UpSampling': Row(
        st.tuples(
            st.builds(
                cnnx.UpSampling,
                st.tuples(small, small),
                interpolation=st.sampled_from(['nearest', 'bilinear']),
            ),
            images,
        ),
        IMAGE,
        {'size': 2, 'interpolation': 'bilinear'},
    ),
    'ZeroPadding': Row(st.tuples(st.builds(cnnx.ZeroPadding, st.tuples(few, few) | few), images), IMAGE),
    'Cropping': Row(cropping(), IMAGE),
    'ReLU': Row(st.tuples(st.builds(cnnx.ReLU, max_value=st.none() | st.floats(0.0201, 1)), shapes)),
    'Sigmoid': Row(of_any_shape(cnnx.Sigmoid)),
    'LeakyReLU': Row(of_any_shape(cnnx.LeakyReLU, st.floats(0, 2))),
    'Tanh': Row(of_any_shape(cnnx.Tanh)),
    'ELU': Row(of_any_shape(cnnx.ELU, st.floats(0, 2))),
    'Softplus': Row(of_any_shape(cnnx.Softplus)),
    'SiLU': Row(of_any_shape(cnnx.SiLU)),
    'GELU': Row(of_any_shape(cnnx.GELU)),
    'SELU': Row(of_any_shape(cnnx.SELU)),
    'HardSigmoid': Row(of_any_shape(cnnx.HardSigmoid)),
    'HardSwish': Row(of_any_shape(cnnx.HardSwish)),
    'PReLU': Row(of_any_shape(cnnx.PReLU, st.floats(0, 2))),
    'Dropout': Row(of_any_shape(cnnx.Dropout, st.floats(0, 0.9)), arguments={'rate': 0.4}),
    'BatchNormalization': Row(
        st.tuples(st.builds(cnnx.BatchNormalization, momentum=momenta, epsilon=st.floats(1e-5, 1)), shapes), IMAGE
    ),
    'GroupNormalization': Row(group_normalization(), IMAGE, {'groups': 1}),
    'LayerNormalization': Row(st.tuples(st.builds(cnnx.LayerNormalization, epsilon=st.floats(1e-3, 1)), shapes), IMAGE),
    'MaxPooling': Row(pooling(cnnx.MaxPooling), IMAGE, {'pool_size': 3, 'stride': 2, 'padding': 'same'}),
    'AveragePooling': Row(pooling(cnnx.AveragePooling), IMAGE, {'pool_size': 3, 'stride': 2, 'padding': 'same'}),
    'GlobalAveragePooling': Row(of_images_or_signals(cnnx.GlobalAveragePooling), IMAGE),
    'GlobalMaxPooling': Row(of_images_or_signals(cnnx.GlobalMaxPooling), IMAGE),
    'Convolutional1D': Row(
        convolutional_1d(), (4, 2), {'num_filters': 2, 'kernel_size': 3, 'stride': 2, 'padding': 'same'}
    ),
    'MaxPooling1D': Row(pooling_1d(cnnx.MaxPooling1D), (4, 2), {'pool_size': 3, 'stride': 2, 'padding': 'same'}),
    'AveragePooling1D': Row(
        pooling_1d(cnnx.AveragePooling1D), (4, 2), {'pool_size': 3, 'stride': 2, 'padding': 'same'}
    ),
    'Flatten': Row(of_any_shape(cnnx.Flatten)),
    'Reshape': Row(reshape(), IMAGE, {'target_shape': (-1, 3)}),
    'Permute': Row(permute(), IMAGE, {'axes': (2, 0, 1)}),
    'Rescaling': Row(rescaling(), IMAGE, {'scale': 2.0, 'offset': 0.5}),
    'Dense': Row(dense(), (3,), {'output_size': 2}),
    'LogSoftmax': Row(of_any_shape(cnnx.LogSoftmax), (3,)),
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
