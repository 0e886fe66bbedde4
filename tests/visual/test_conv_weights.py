"""The filters of a convolution."""

import numpy as np
import pytest
from visual_networks import classifier, figure, texts

import cnnx
from cnnx.models import lenet5
from cnnx.visual import conv_weights, plot_conv_weights
from cnnx.visual.conv_weights import side_by_side


def test_filters_come_first():
    net = lenet5(0)
    found = conv_weights(net, 3)
    assert found.shape == (16, 5, 5, 6)
    np.testing.assert_array_equal(found[7, :, :, 2], net.layers[3].weights[:, :, 2, 7])
    np.testing.assert_array_equal(conv_weights(net), conv_weights(net, 0))
    found[...] = 0  # a copy
    assert net.layers[3].weights.any()


def test_channels_are_drawn_beside_each_other():
    maps = np.arange(12.0).reshape(2, 2, 3)
    expected = [[0, 3, np.nan, 1, 4, np.nan, 2, 5], [6, 9, np.nan, 7, 10, np.nan, 8, 11]]
    np.testing.assert_array_equal(side_by_side(maps), expected)


def test_a_layer_without_filters_is_refused():
    with pytest.raises(ValueError, match=r'layer: expected a Convolutional layer, here 0, got layer 4 \(Dense\)'):
        conv_weights(classifier(), 4)
    with pytest.raises(ValueError, match='expected a network with a Convolutional layer, it has none'):
        conv_weights(cnnx.Network([cnnx.Dense(3, 2)], seed=0))


@pytest.mark.parametrize(('channels', 'columns'), [(1, 3), (2, 3 + 1 + 3), (3, 3)])
def test_the_picture_has_a_filter_each(channels, columns):
    net = classifier(channels)
    drawn = figure(plot_conv_weights, net)
    assert f'layer 0 (Convolutional): 4 filters of 3 x 3 x {channels}' in texts(drawn)
    shapes = [axes.images[0].get_array().shape for axes in drawn.axes]
    assert shapes == [(3, columns) + (3,) * (channels == 3)] * 4


def test_colours_are_weights_around_grey():
    net = classifier(3)
    drawn, weights = figure(plot_conv_weights, net), conv_weights(net)
    expected = weights[2] / abs(weights).max() / 2 + 0.5
    np.testing.assert_allclose(drawn.axes[2].images[0].get_array(), expected)
