"""The picture of feature maps, layer by layer."""

import numpy as np
import pytest
from visual_networks import classifier, figure, images, texts

import cnnx
from cnnx.visual import plot_conv_activity


def test_it_draws_what_the_layers_give():
    net, x = classifier(), images(1)
    drawn, maps = figure(plot_conv_activity, net, x, [0]), net.activations(x, [0])[0][0]
    found = [axes.images[0].get_array() for axes in drawn.axes if axes.images]
    assert len(found) == 1 + 4  # the image, and a map for each filter
    for channel in range(4):
        np.testing.assert_allclose(found[1 + channel], maps[..., channel])


def test_all_layers_but_flatten_are_there_with_their_shapes():
    net, x = classifier(), images(1)
    written = texts(figure(plot_conv_activity, net, x[0]))
    kinds = {i: type(layer).__name__ for i, layer in enumerate(net.layers) if i != 3}
    shapes = {i: ' x '.join(map(str, net.layers[i].shape)) for i in kinds}
    assert {f'{i} {kinds[i]}\n{shapes[i]}' for i in kinds} <= set(written)
    assert not any('Flatten' in text for text in written)
    assert {f'{i}\n{value:.2f}' for i, value in enumerate(net.predict(x)[0])} <= set(written)


def test_of_outputs_of_other_forms():
    single = classifier(end=cnnx.Sigmoid, classes=1)
    p = single.predict(images(1))[0, 0]
    assert {f'0\n{1 - p:.2f}', f'1\n{p:.2f}'} <= set(texts(figure(plot_conv_activity, single, images(1))))
    number = classifier(end=None, classes=1)
    value = number.predict(images(1))[0, 0]
    assert f'output\n{value:.2f}' in texts(figure(plot_conv_activity, number, images(1), [-1, 0]))
    maps = cnnx.Network([cnnx.Convolutional(20, 3, input_shape=(8, 7, 1))], seed=0)
    drawn = figure(plot_conv_activity, maps, images(1))
    assert len(drawn.axes) == 2 + 1 + 16  # two labels, the image, sixteen maps
    assert '0 Convolutional\n6 x 5 x 20, first 16' in texts(drawn)


@pytest.mark.parametrize(
    ('n', 'layers', 'words'),
    [
        (2, None, 'x: expected one image, got 2'),
        (0, None, 'x: expected at least one image, got none'),
        (1, [], 'layers: expected at least one layer'),
        (1, [8], 'layers: expected an index from -8 to 7'),
    ],
)
def test_what_does_not_fit_is_refused(n, layers, words):
    with pytest.raises(ValueError, match=words):
        plot_conv_activity(classifier(), images(n), layers)
