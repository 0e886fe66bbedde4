"""Scenes of digits: the same from the same seed, boxes around the ink, class maps of the digits that are seen."""

import numpy as np
import pytest

from cnnx.boxes import crop_and_resize, mean_average_precision
from cnnx.data import make_scenes, preprocess_mnist_data
from cnnx.data.connected_components import connected_components
from cnnx.models import pretrained


@pytest.fixture(scope='module')
def digits():
    return preprocess_mnist_data()[1]


@pytest.fixture(scope='module')
def scenes(digits):
    return make_scenes(*digits, 60, seed=3)


def test_arrays_and_their_ranges(scenes):
    assert scenes.images.shape == (60, 96, 96, 1)
    assert scenes.images.dtype == np.float32
    assert scenes.class_maps.shape == (60, 96, 96)
    assert {len(boxes) for boxes in scenes.boxes} == {1, 2, 3, 4, 5}
    assert np.unique(np.concatenate(scenes.labels)).tolist() == list(range(10))
    assert np.unique(scenes.class_maps).tolist() == list(range(11))
    for boxes, labels in zip(scenes.boxes, scenes.labels, strict=True):
        assert boxes.shape == (len(labels), 4)
        longer = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
        assert longer.min() >= 14
        assert longer.max() <= 40
        assert boxes.min() >= 0
        assert boxes.max() <= 96


def test_a_scene_depends_on_seed_and_number_alone(digits, scenes):
    few, others = make_scenes(*digits, 2, seed=3), make_scenes(*digits, 2, seed=4)
    np.testing.assert_array_equal(few.images, scenes.images[:2])
    np.testing.assert_array_equal(few.boxes[1], scenes.boxes[1])
    assert not np.array_equal(others.images, few.images)


def test_boxes_overlap_by_no_more_than_a_fifth_of_the_smaller(scenes):
    largest = 0
    for boxes in scenes.boxes:
        for i, (top, left, bottom, right) in enumerate(boxes):
            for a, b, c, d in boxes[:i]:
                both = max(0, min(bottom, c) - max(top, a)) * max(0, min(right, d) - max(left, b))
                largest = max(largest, both / min((bottom - top) * (right - left), (c - a) * (d - b)))
    assert 0.1 < largest < 0.2001


def test_boxes_are_those_of_the_class_map_where_a_digit_is_alone(digits):
    scenes = make_scenes(*digits, 40, digits=(1, 1), noise=0)
    for class_map, image, (box,), (label,) in zip(
        scenes.class_maps, scenes.images[..., 0], scenes.boxes, scenes.labels, strict=True
    ):
        rows, columns = np.nonzero(class_map == label)
        tight = [rows.min(), columns.min(), rows.max() + 1, columns.max() + 1]
        assert np.abs(tight - box).max() <= 2  # scaling blurs the outermost pixels
        assert set(np.unique(class_map)) == {label, 10}
        assert image[class_map == label].min() >= 0.4


def test_clutter_and_noise_are_there(digits):
    clean, noisy = make_scenes(*digits, 20, noise=0), make_scenes(*digits, 20, noise=0.1)
    assert 0.003 < (clean.images[..., 0][clean.class_maps == 10] > 0.6).mean() < 0.1
    assert (noisy.images - clean.images).std() == pytest.approx(0.1, rel=0.02)
    np.testing.assert_array_equal(noisy.class_maps, clean.class_maps)


def test_images_and_labels_may_be_plain(digits):
    x, y = digits
    plain = make_scenes(x[..., 0], y.argmax(axis=1), 1, size=40, digits=(2, 2), lengths=(20, 20))
    np.testing.assert_array_equal(plain.images, make_scenes(x, y, 1, size=40, digits=(2, 2), lengths=(20, 20)).images)
    assert plain.images.shape == (1, 40, 40, 1)


@pytest.mark.parametrize(
    ('changed', 'message'),
    [
        ({'images': np.zeros((1, 28, 28))}, 'image 0 is empty'),
        ({'images': np.ones((2, 28, 28))}, 'got (2, 28, 28), (1,)'),
        ({'lengths': (14, 97)}, 'lengths=(14, 97)'),
        ({'digits': (3, 2)}, 'digits=(3, 2)'),
    ],
)
def test_what_makes_no_scene_is_refused(changed, message):
    arguments = {'images': np.ones((1, 28, 28)), 'labels': [5], 'count': 1}
    with pytest.raises(ValueError, match='make_scenes') as error:
        make_scenes(**(arguments | changed))
    assert message in str(error.value)


def read_connected_parts(net, image, threshold):
    """Return boxes, scores and labels of the connected parts above a threshold, as a network of digits reads them."""
    parts = connected_components(image[..., 0] > threshold)
    places = [np.argwhere(parts == part) for part in range(1, parts.max() + 1)]
    corners = [(*place.min(axis=0), *(place.max(axis=0) + 1)) for place in places if len(place) >= 20]
    boxes = np.array(corners, np.float32).reshape(-1, 4)
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    halves = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True) * 28 / 20 / 2  # MNIST's digits fill 20 of 28
    crops = crop_and_resize(image, np.concatenate([middles - halves, middles + halves], axis=1), (28, 28))
    probabilities = net.predict(crops.clip(0, 1)) if len(boxes) else np.zeros((0, 10))
    return boxes, probabilities.max(axis=1), probabilities.argmax(axis=1)


@pytest.mark.slow
def test_it_is_not_enough_to_classify_connected_parts():
    scenes, net = make_scenes(*preprocess_mnist_data()[1], 100, seed=0), pretrained('lenet5-mnist')
    for threshold in (0.5, 0.65, 0.7):
        found = [read_connected_parts(net, image, threshold) for image in scenes.images]
        assert 0.3 < mean_average_precision(found, zip(scenes.boxes, scenes.labels, strict=True)) < 0.6
