"""The samples that a unit answers to most."""

import numpy as np
import pytest
from visual_networks import classifier, figure, images, texts

from cnnx.visual import plot_top_activations, top_activations
from cnnx.visual.receptive_field import receptive_field


def test_of_a_feature_map_it_is_the_largest_position():
    net, x = classifier(), images(300)
    found = top_activations(net, x, 1, unit=2, count=5)
    maps = net.activations(x, [1])[0][..., 2]
    expected = np.argsort(-maps.max(axis=(1, 2)), kind='stable')[:5]
    np.testing.assert_array_equal(found.indices, expected)
    np.testing.assert_allclose(found.values, maps.max(axis=(1, 2))[expected])
    for index, value, (row, column) in zip(*found, strict=True):
        assert maps[index, row, column] == value


def test_of_a_dense_unit():
    net, x = classifier(), images(20)
    found = top_activations(net, x, -4, unit=0, count=50)
    units = net.activations(x, [4])[0][:, 0]
    np.testing.assert_array_equal(found.indices, np.argsort(-units, kind='stable'))
    assert found.positions.shape == (20, 0)


def test_of_equal_samples_the_first_comes_first():
    assert top_activations(classifier(), np.repeat(images(1), 4, axis=0), 1, 0, 3).indices.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ('layer', 'unit', 'count', 'words'),
    [
        (1, 4, 9, r'unit: expected at most 3, layer 1 \(Tanh\) has 4, got 4'),
        (1, -1, 9, 'unit: expected a whole number of at least 0'),
        (1, 0, 0, 'count: expected a whole number of at least 1'),
        (9, 0, 9, 'layer: expected an index from -8 to 7, got 9'),
    ],
)
def test_what_there_is_not_is_refused(layer, unit, count, words):
    with pytest.raises(ValueError, match=words):
        top_activations(classifier(), images(2), layer, unit, count)
    with pytest.raises(ValueError, match=words):
        plot_top_activations(classifier(), images(2), layer, unit, count)


def test_the_picture_frames_what_the_unit_sees():
    net, x = classifier(), images(5)
    drawn = figure(plot_top_activations, net, x, 1, unit=3, count=2)
    top = top_activations(net, x, 1, 3, 2)
    assert len(drawn.axes) == 2
    for axes, index, place in zip(drawn.axes, top.indices, top.positions, strict=True):
        (frame,) = axes.patches
        above, below, left, right = receptive_field(net, 1, *place)
        assert (frame.get_x(), frame.get_y()) == (left - 0.5, above - 0.5)
        assert (frame.get_width(), frame.get_height()) == (right - left, below - above)
        shown = axes.images[0].get_array()
        np.testing.assert_allclose(shown, (x[index, ..., 0] - x[index].min()) / np.ptp(x[index]))
    assert f'unit 3: {top.values[0]:.2f}' in texts(drawn)


def test_without_a_unit_there_is_a_row_for_each():
    assert len(figure(plot_top_activations, classifier(), images(3), 4, count=2).axes) == 5 * 2
