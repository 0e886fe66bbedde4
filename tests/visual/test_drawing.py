"""What pictures of networks have in common."""

import sys

import numpy as np
import pytest
from visual_networks import classifier, images

import cnnx
from cnnx import visual
from cnnx.visual.drawing import grid, images_of, names_of, place, sheet

PLOTS = [name for name in visual.__all__ if name.startswith('plot_')]


def arguments(name):
    """Return what a function that draws takes beside a network."""
    x, y = images(4), np.array([0, 1, 2, 0])
    if name in ('plot_confident_errors', 'plot_calibration_curve', 'plot_embedding'):
        return x, y
    return {'plot_conv_weights': (), 'plot_conv_activity': (x[0],), 'plot_top_activations': (x, 1)}.get(name, (x,))


@pytest.mark.parametrize('name', PLOTS)
def test_each_picture_goes_into_a_file(name, tmp_path):
    pytest.importorskip('matplotlib', reason='drawing needs matplotlib')
    path = tmp_path / 'picture.svg'
    assert getattr(visual, name)(classifier(), *arguments(name), path=path) is None
    assert '<svg' in path.read_text()


@pytest.mark.parametrize('name', PLOTS)
def test_each_says_what_to_install(name, monkeypatch):
    monkeypatch.setitem(sys.modules, 'matplotlib.figure', None)
    with pytest.raises(ImportError, match='plot needs matplotlib: pip install matplotlib'):
        getattr(visual, name)(classifier(), *arguments(name))


@pytest.mark.parametrize('name', PLOTS)
def test_a_path_that_is_none_is_refused(name):
    with pytest.raises(ValueError, match='path: expected the path of a file'):
        getattr(visual, name)(classifier(), *arguments(name), path=3)


def test_public_names_are_documented():
    assert all(getattr(visual, name).__doc__ for name in visual.__all__)


def test_images_come_with_or_without_the_axis_of_the_batch():
    net, x = classifier(), images(2)
    np.testing.assert_array_equal(images_of(net, x[0]), x[:1])
    found = images_of(net, x)
    np.testing.assert_array_equal(found, x)
    found[...] = 0  # a copy
    assert x.any()
    assert images_of(net, np.zeros((1, 8, 7, 1), np.uint8)).dtype == 'float64'


def test_what_is_no_image_is_refused():
    net = classifier()
    with pytest.raises(ValueError, match=r'expected x \(N, 8, 7, 1\)'):
        images_of(net, images(2)[..., 0])
    with pytest.raises(ValueError, match='expected numbers'):
        images_of(net, np.full((8, 7, 1), 'a'))
    with pytest.raises(RuntimeError, match='the network has no layers'):
        images_of(cnnx.Network(), images(2))
    with pytest.raises(ValueError, match='expected a network that takes images .*, this one takes'):
        images_of(cnnx.Network([cnnx.Dense(3, 2)], seed=0), np.ones((2, 3)))


def test_names_of_classes_or_their_numbers():
    net = classifier()
    assert names_of(net) == ['0', '1', '2']
    net.class_names = 'cat', 'dog', 'fox'
    assert names_of(net) == ['cat', 'dog', 'fox']
    assert names_of(classifier(end=cnnx.Sigmoid, classes=1)) == ['0', '1']


def test_axes_are_where_they_are_put():
    pytest.importorskip('matplotlib', reason='drawing needs matplotlib')
    figure = sheet(8, 4, 'a title')
    box = place(figure, 2, 1, 4, 2).get_position()
    np.testing.assert_allclose([box.x0, box.y0, box.width, box.height], [0.25, 0.25, 0.5, 0.5])


@pytest.mark.parametrize(('count', 'rows'), [(1, [1]), (8, [8]), (10, [5, 5]), (17, [6, 6, 5])])
def test_rows_are_of_one_length(count, rows):
    pytest.importorskip('matplotlib', reason='drawing needs matplotlib')
    _, axes = grid(count, 'a title')
    boxes = [each.get_position() for each in axes]
    tops = np.unique([round(box.y0, 6) for box in boxes], return_counts=True)[1][::-1]
    assert tops.tolist() == rows
    assert all(box.x0 >= 0 and box.x1 <= 1 and box.y0 >= 0 and box.y1 <= 1 for box in boxes)
