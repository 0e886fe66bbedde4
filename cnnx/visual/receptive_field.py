"""Receptive fields: the part of an image that a position of a layer's feature maps depends on."""

from cnnx.layers import Add, AveragePooling, BatchNormalization, Convolutional, Dropout, MaxPooling, Multiply, PReLU
from cnnx.layers.activations import Activation

WINDOWS = (Convolutional, MaxPooling, AveragePooling)
POINT_BY_POINT = (Activation, PReLU, BatchNormalization, Dropout, Add, Multiply)


def receptive_field(network, layer, row, column):
    """Return (top, bottom, left, right): a position depends on image[top:bottom, left:right], cut off at the edges.

    Of layers other than convolutions, poolings and those that work point by point, it is the whole image.

    Source: Araujo, Norris and Sim, "Computing receptive fields of convolutional neural networks", 2019.

    Args:
        network: a `cnnx.Network` for images.
        layer: the index of a layer, from 0 on.
        row, column: a position of its feature maps.
    """
    height, width = network.input_shape[:2]
    fields = {layer: (row, row + 1, column, column + 1)}  # by layer; -1 is the image
    for index in range(layer, -1, -1):
        field = fields.pop(index, None)
        if field is None:
            continue
        each = network.layers[index]
        if len(each.shape) == 3 and isinstance(each, WINDOWS):
            field = _through(each.window, field)
        elif len(each.shape) != 3 or not isinstance(each, POINT_BY_POINT):
            return 0, height, 0, width
        for place in network.reads[index]:
            shape = network.input_shape if place < 0 else network.layers[place].shape
            fields[place] = _union(_cut(field, shape), fields.get(place))
    return fields[-1]


def _through(window, field):
    """Return the rows and columns that a window reads for those of a field."""
    top, bottom, left, right = field
    first_row, last_row = (
        top * window.stride_height - window.pad_top,
        (bottom - 1) * window.stride_height - window.pad_top,
    )
    first, last = left * window.stride_width - window.pad_left, (right - 1) * window.stride_width - window.pad_left
    down, along = window.dilation_height * (window.height - 1) + 1, window.dilation_width * (window.width - 1) + 1
    return first_row, last_row + down, first, last + along


def _cut(field, shape):
    top, bottom, left, right = field
    return max(top, 0), min(bottom, shape[0]), max(left, 0), min(right, shape[1])


def _union(field, other):
    if other is None:
        return field
    return tuple(pick(pair) for pick, pair in zip((min, max, min, max), zip(field, other, strict=True), strict=True))
