"""Layouts of PyTorch and Keras: shapes, names and the order of flattened images."""

import numpy as np
import pytest

import cnnx
from cnnx.checkpoint.layouts import orders, slots

SHAPES = [
    (cnnx.Convolutional(4, (2, 3), input_shape=(5, 5, 6)), (4, 6, 2, 3), (2, 3, 6, 4)),
    (cnnx.Convolutional(12, 2, groups=6, input_shape=(5, 5, 6)), (12, 1, 2, 2), (2, 2, 6, 2)),
    (cnnx.Convolutional1D(4, 3, input_shape=(9, 6)), (4, 6, 3), (3, 6, 4)),
    (cnnx.TransposedConvolutional(4, (2, 3), input_shape=(5, 5, 6)), (6, 4, 2, 3), (2, 3, 4, 6)),
    (cnnx.Dense(6, 4), (4, 6), (6, 4)),
]


@pytest.mark.parametrize(('layer', 'torch', 'keras'), SHAPES, ids=[type(row[0]).__name__ for row in SHAPES])
def test_weights_have_the_shapes_of_the_other_library_and_come_back(layer, torch, keras):
    for layout, shape in (('torch', torch), ('keras', keras)):
        weights, bias = slots(layer, layout)
        assert (weights.shape, bias.shape) == (shape, layer.shape[-1:])
        assert weights.pack(layer.weights).shape == shape
        assert (weights.ours(weights.pack(layer.weights)) == layer.weights).all()


def test_names_are_those_of_the_other_library():
    layer = cnnx.BatchNormalization(input_shape=(3,))
    assert [slot.theirs for slot in slots(layer, 'torch')] == ['weight', 'bias', 'running_mean', 'running_var']
    assert [slot.theirs for slot in slots(layer, 'keras')] == ['gamma', 'beta', 'moving_mean', 'moving_variance']


def test_flattened_images_are_in_another_order_until_a_dense_layer():
    layers = [cnnx.Flatten(input_shape=(2, 2, 3)), cnnx.Dropout(0.5), cnnx.Dense(4), cnnx.ReLU()]
    found = orders(cnnx.Network(layers))
    assert found.keys() == {0, 1}
    assert found[0].tolist() == [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]


def test_numbers_by_channel_may_have_axes_of_size_1():
    bias = slots(cnnx.Dense(2, 3), 'torch')[1]
    assert bias.fits(np.zeros((3, 1)))
    assert not bias.fits(np.zeros((3, 2)))
