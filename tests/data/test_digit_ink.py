"""Ink on paper: light taken out, thresholds, pictures of all sizes."""

import numpy as np
import pytest

pytest.importorskip('PIL')
from cnnx.data.digit_ink import (
    FEW,
    dark_on_light,
    dilated,
    ink_of,
    ink_of_few_pixels,
    largest_in_squares,
    scaled_to_work,
    strokes,
)


@pytest.fixture
def rng():
    return np.random.default_rng(1)


def bar_on_paper(light, darkness=0.6):
    """Return a picture (100, 100) of a bar, and the light (100, 100) that falls on it."""
    picture = np.broadcast_to(light, (100, 100)).astype(np.float32).copy()
    picture[20:80, 45:53] *= 1 - darkness
    return picture


def test_largest_in_squares_are_those_of_a_search(rng):
    grey = rng.random((9, 12))
    for width in (1, 2, 3, 5, 8):
        windows = np.lib.stride_tricks.sliding_window_view(grey, (width, width))
        np.testing.assert_array_equal(largest_in_squares(grey, width), windows.max(axis=(2, 3)))


def test_dilation_grows_to_all_sides():
    mask = np.zeros((7, 7), bool)
    mask[3, 0] = True
    grown = dilated(mask, 2)
    assert grown[1:6, :3].all()
    assert grown.sum() == 15


@pytest.mark.parametrize(
    ('shape', 'expected'), [((800, 400), (400, 200)), ((60, 30), (120, 60)), ((200, 300), (200, 300))]
)
def test_pictures_are_scaled_to_a_size_that_can_be_worked_on(shape, expected):
    assert scaled_to_work(np.ones(shape, np.float32)).shape == expected


LIGHTS = {
    'even': 0.9,
    'from the left': np.linspace(0.9, 0.3, 100),
    'with the shadow of a hand': np.where(np.arange(100) < 60, 0.9, 0.55),
    'on a dark table': np.where(np.arange(100) < 12, 0.2, 0.9),
}


@pytest.mark.parametrize('light', LIGHTS)
def test_ink_is_found_whatever_the_light_is(light, rng):
    picture = bar_on_paper(LIGHTS[light]) + rng.normal(0, 0.005, (100, 100))
    ink = ink_of(picture, even=False)
    assert ink[25:75, 47:51].min() > 0.8
    ink[17:83, 42:56] = 0
    assert ink[:, 20:].max() < 0.3


def test_light_ink_on_a_dark_board_is_inverted():
    picture = bar_on_paper(0.9)
    np.testing.assert_array_equal(dark_on_light(1 - picture, even=False), 1 - (1 - picture))
    np.testing.assert_array_equal(dark_on_light(picture, even=False), picture)


def test_a_digit_that_fills_most_of_a_picture_is_the_ink():
    picture = np.full((100, 100), 0.9, np.float32)
    picture[8:92, 8:92] = 0.1
    np.testing.assert_array_equal(dark_on_light(picture, even=False), picture)


def test_paper_without_ink_has_none(rng):
    assert ink_of(np.full((50, 50), 0.8), even=True) is None
    assert ink_of(0.8 + rng.normal(0, 0.02, (200, 200)), even=False) is None
    assert ink_of_few_pixels(np.full((8, 8), 0.8)) is None


def test_few_pixels_are_ink_where_they_are_dark():
    picture = np.ones((8, 8))
    picture[2:7, 3:5] = 0.2
    ink = ink_of_few_pixels(picture)
    step = len(ink) // (8 + 2)
    assert FEW > 8
    assert ink[int(3.5 * step) : int(7.5 * step), int(4.5 * step) : int(5.5 * step)].min() > 0.9
    assert ink[:, : 3 * step].max() < 0.1


def test_weak_ink_counts_where_it_touches_strong_ink():
    ink = np.zeros((20, 20))
    ink[5, 2:10] = 1
    ink[5, 10:12] = 0.35
    ink[15, 2:5] = 0.35
    found = strokes(ink)
    assert found[5, 2:12].all()
    assert found.sum() == 10


def test_weak_squares_on_the_paper_are_left_out():
    ink = np.zeros((20, 20))
    ink[::4], ink[:, ::4] = 0.35, 0.35
    ink[8, 2:14] = 1
    assert strokes(ink).sum() == 12
