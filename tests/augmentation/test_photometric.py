"""Photometric augmentations: what becomes of brightness, contrast and colours, and which pixels are erased."""

import colorsys

import numpy as np
import pytest
from augmentation_cases import TOLERANCES, changed, images

from cnnx import kernels
from cnnx.augmentation import Brightness, Colour, Contrast, Erase
from cnnx.augmentation.pipeline import Pipeline

LUMA = np.array([0.299, 0.587, 0.114])


def with_numbers(x, augmentation, *numbers):
    """Return images changed by the same numbers, from 0 to 1, for all."""
    y = x.copy()
    augmentation.change(y, np.repeat(np.array(numbers, float)[:, None], len(x), axis=1), None)
    return y


@pytest.mark.parametrize('dtype', TOLERANCES)
def test_brightness_adds_a_number_to_each_image(dtype):
    x = images(500, 3, 4, 3, dtype)
    added = changed(x, [Brightness(0.3)]) - x
    np.testing.assert_allclose(added, np.broadcast_to(added[:, :1, :1, :1], x.shape), atol=TOLERANCES[dtype])
    assert -0.3 - 1e-6 <= added.min() < -0.29
    assert 0.29 < added.max() <= 0.3 + 1e-6


@pytest.mark.parametrize('dtype', TOLERANCES)
def test_contrast_scales_distances_from_the_mean_of_each_channel(dtype):
    x = images(dtype=dtype)
    mean = x.mean(axis=(1, 2), keepdims=True)
    for number, factor in ((0, 0.6), (0.75, 1.2), (1, 1.4)):
        expected = mean + factor * (x - mean)
        np.testing.assert_allclose(with_numbers(x, Contrast(0.4), number), expected, atol=TOLERANCES[dtype])
    flat = with_numbers(x, Contrast(1), 0)
    np.testing.assert_allclose(flat, np.broadcast_to(mean, x.shape), atol=TOLERANCES[dtype])


@pytest.mark.parametrize('dtype', TOLERANCES)
def test_saturation_scales_distances_from_grey(dtype):
    x = images(channels=3, dtype=dtype)
    grey = (x @ LUMA.astype(dtype))[..., None]
    for number, factor in ((0, 0), (0.25, 0.5), (1, 2)):
        y = with_numbers(x, Colour(1, 0), number, 0.5)
        np.testing.assert_allclose(y, grey + factor * (x - grey), atol=10 * TOLERANCES[dtype])


def test_hue_turns_colours_and_leaves_luma():
    primaries = 0.5 + 0.2 * np.eye(3).reshape(1, 1, 3, 3)
    turned = with_numbers(primaries, Colour(0, 1 / 3), 0.5, 1)
    np.testing.assert_allclose(turned @ LUMA, primaries @ LUMA, atol=1e-12)
    hues = np.array([colorsys.rgb_to_hsv(*colour)[0] for colour in turned[0, 0]])
    assert abs((hues - [0, 1 / 3, 2 / 3] - 1 / 3 + 0.5) % 1 - 0.5).max() < 0.07
    back = with_numbers(turned, Colour(0, 1 / 3), 0.5, 0)
    np.testing.assert_allclose(back, primaries, atol=1e-12)


def test_grey_stays_grey():
    x = np.repeat(images(channels=1), 3, axis=3)
    np.testing.assert_allclose(changed(x, [Colour(1, 0.5)]), x, atol=1e-12)


def test_colour_needs_three_channels():
    with pytest.raises(ValueError, match=r'Colour: expected images with 3 channels .* the network takes \(28, 28, 1\)'):
        Pipeline([Colour()], (28, 28, 1), np.dtype('float32'))


@pytest.mark.parametrize('dtype', TOLERANCES)
@pytest.mark.parametrize('augmentation', [Brightness(0), Contrast(0), Colour(0, 0)], ids=repr)
def test_what_changes_nothing_leaves_every_bit(augmentation, dtype):
    x = images(channels=3, dtype=dtype)
    assert changed(x, [augmentation]).tobytes() == x.tobytes()


# Erasing


@pytest.mark.usefixtures('each_backend')
def test_a_box_is_filled_and_nothing_else():
    x = images(3)
    y = x.copy()
    boxes = np.array([[1, 2, 3, 5], [0, 0, 0, 0], [-5, 8, 99, 99]], np.int32)
    kernels.current().erase(y, boxes, 1, 5.0, 5.0, 1)
    expected = x.copy()
    expected[0, 1:3, 2:5] = expected[2, :, 8:] = 5
    np.testing.assert_array_equal(y, expected)


def test_boxes_have_the_share_and_the_place_that_is_asked_for():
    numbers = np.random.default_rng(0).random((5, 4000))
    boxes = Erase(0.25, 0.3).boxes(numbers, 28, 28)
    top, left, bottom, right = boxes.T
    erased = bottom > top
    assert erased.mean() == pytest.approx(0.25, abs=0.02)
    assert min(top.min(), left.min()) == 0
    assert max(bottom.max(), right.max()) == 28
    fractions = ((bottom - top) * (right - left))[erased] / 28**2
    assert 0.012 < fractions.min() < 0.03
    assert 0.27 < fractions.max() < 0.33
    ratios = ((bottom - top) / np.maximum(right - left, 1))[erased]
    assert np.median(ratios) == pytest.approx(1, abs=0.1)
    assert 0.2 < ratios.min() < 0.35


@pytest.mark.parametrize(('probability', 'fraction'), [(1, 1), (1, 0.001), (0, 1)])
@pytest.mark.parametrize(('height', 'width'), [(1, 1), (1, 50), (50, 1), (6, 6)])
def test_boxes_lie_in_images_of_any_size(probability, fraction, height, width):
    numbers = np.random.default_rng(0).random((5, 500))
    numbers[:, 0], numbers[:, 1] = 0, np.nextafter(1, 0)
    top, left, bottom, right = Erase(probability, fraction).boxes(numbers, height, width).T
    assert top.min() >= 0
    assert left.min() >= 0
    assert bottom.max() <= height
    assert right.max() <= width
    assert (bottom > top).all() == (right > left).all() == (probability == 1)


@pytest.mark.usefixtures('each_backend')
def test_erased_pixels_are_random_from_one_end_of_the_fill_to_the_other():
    y = changed(np.full((200, 8, 8, 2), 9.0), [Erase(1, 0.5, (-1, 3))])
    erased = y[y != 9]
    assert -1 <= erased.min() < -0.95
    assert 2.95 < erased.max() <= 3
    assert erased.mean() == pytest.approx(1, abs=0.1)
    assert len(np.unique(erased)) == len(erased)
