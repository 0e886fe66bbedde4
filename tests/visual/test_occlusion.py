"""Occlusion maps."""

import numpy as np
import pytest
from visual_networks import classifier, figure, images, texts

import cnnx
from cnnx.visual import occlusion_heatmap, plot_occlusion


def by_hand(net, image, target, length, stride, fill):
    rows = []
    for i in range(0, 8, stride):
        row = []
        for j in range(0, 7, stride):
            covered = image.copy()
            for k in range(i - length // 2, i + length // 2 + 1):
                for m in range(j - length // 2, j + length // 2 + 1):
                    if 0 <= k < 8 and 0 <= m < 7:
                        covered[k, m] = fill
            row.append(net.predict(covered[np.newaxis])[0, target])
        rows.append(row)
    return rows


@pytest.mark.parametrize(('length', 'stride', 'fill'), [(1, 1, 0), (3, 1, 0.5), (5, 2, 0), (15, 3, -1)])
def test_each_entry_is_the_output_with_a_square_there(length, stride, fill):
    net, x = classifier(channels=3), images(2, channels=3)
    found = occlusion_heatmap(net, x, [2, 0], square_length=length, stride=stride, fill=fill)
    for n, target in enumerate([2, 0]):
        np.testing.assert_allclose(found[n], by_hand(net, x[n], target, length, stride, fill), rtol=1e-9)


def test_class_0_of_a_single_output_is_what_is_left_to_1():
    net, x = classifier(end=cnnx.Sigmoid, classes=1), images(1)
    one, zero = (occlusion_heatmap(net, x, target, square_length=3) for target in (1, 0))
    np.testing.assert_allclose(one + zero, 1)


def test_the_images_stay_as_they_are():
    net, x = classifier(), images(1)
    before = x.copy()
    occlusion_heatmap(net, x)
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize(
    ('settings', 'words'),
    [
        ({'square_length': 4}, 'square_length: expected an odd number'),
        ({'square_length': 0}, 'square_length: expected a whole number of at least 1'),
        ({'stride': 0.5}, 'stride: expected a whole number'),
        ({'fill': float('nan')}, 'fill: expected a finite number'),
        ({'fill': None}, 'fill: expected a finite number'),
    ],
)
def test_what_does_not_fit_is_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        occlusion_heatmap(classifier(), images(1), **settings)


def test_the_picture_says_how_far_the_output_falls():
    net, x = classifier(), images(3)
    lowest = occlusion_heatmap(net, x, 1, square_length=3).min(axis=(1, 2))
    drawn = figure(plot_occlusion, net, x, 1, square_length=3)
    assert {f'lowest: {value:.2f}' for value in lowest} <= set(texts(drawn))
