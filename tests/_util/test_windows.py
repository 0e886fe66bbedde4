"""Output sizes and padding."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnx._util.windows import Window, as_images, checked_padding, checked_sides, pair, shape_of_sample, window_over

sizes = st.integers(1, 40)
pairs = st.tuples(sizes, sizes)


@given(image=pairs, kernel=pairs, stride=pairs)
def test_valid_windows_are_all_that_fit(image, kernel, stride):
    if kernel[0] > image[0] or kernel[1] > image[1]:
        with pytest.raises(ValueError, match='does not fit'):
            window_over(image, kernel, stride)
        return
    window, positions = window_over(image, kernel, stride)
    assert window == Window(*kernel, *stride, 0, 0)
    for size, extent, step, count in zip(image, kernel, stride, positions, strict=True):
        assert (count - 1) * step + extent <= size < count * step + extent


@given(image=pairs, kernel=pairs, stride=pairs)
def test_same_windows_are_one_for_each_step_and_centred(image, kernel, stride):
    window, positions = window_over(image, kernel, stride, 'same')
    before = window.pad_top, window.pad_left
    for size, extent, step, count, pad in zip(image, kernel, stride, positions, before, strict=True):
        assert count == -(-size // step)
        after = (count - 1) * step + extent - size - pad
        assert after in (pad, pad + 1) or (pad == 0 and after < 0)
        assert pad < extent


@pytest.mark.parametrize('value', [3, (3, 3), [3, 3]])
def test_pairs(value):
    assert pair(value, 'stride') == (3, 3)


@pytest.mark.parametrize('value', [0, -1, 1.0, '3', None, True, (1,), (1, 2, 3), (1, 0), (1, 2.5), np.array([5, 5])])
def test_what_is_no_pair_is_refused_by_name(value):
    with pytest.raises(ValueError, match='stride: expected a whole number'):
        pair(value, 'stride')


@pytest.mark.parametrize('value', [(), 0, (28, 0), 'abc', 2.5])
def test_what_is_no_shape_is_refused_by_name(value):
    with pytest.raises(ValueError, match='input_shape: expected'):
        shape_of_sample(value, 'input_shape')


def test_padding_has_a_known_name():
    with pytest.raises(ValueError, match="padding: expected one of 'valid', 'same', got 'full'"):
        checked_padding('full')
    with pytest.raises(ValueError, match='padding: expected one of'):
        checked_padding(2)


def test_padding_may_be_numbers_of_pixels():
    assert checked_padding(2, numbers=True) == 2
    assert checked_padding([0, 3], numbers=True) == (0, 3)
    for wrong in (-1, 1.5, (1, 2, 3), (1, -1), 'full', True):
        with pytest.raises(ValueError, match='padding: expected .* or a pair of them'):
            checked_padding(wrong, numbers=True)
    assert window_over((5, 5), (3, 3), (1, 2), (1, 0)) == (Window(3, 3, 1, 2, 1, 0), (5, 2))


def test_dilation_widens_a_window():
    assert window_over((7, 7), (3, 3), (1, 1), 'valid', (2, 3)) == (Window(3, 3, 1, 1, 0, 0, 2, 3), (3, 1))
    window, positions = window_over((7, 7), (3, 3), (2, 2), 'same', (2, 2))
    assert (window.pad_top, positions) == (2, (4, 4))
    with pytest.raises(ValueError, match='does not fit'):
        window_over((4, 4), (3, 3), (1, 1), 'valid', (2, 2))


@pytest.mark.parametrize(
    ('shape', 'expected'), [((2, 3), (2, 1, 1, 3)), ((2, 5, 3), (2, 1, 5, 3)), ((0, 4, 5, 3), (0, 4, 5, 3))]
)
def test_signals_are_images_of_one_row_and_rows_of_one_pixel(shape, expected):
    batch = np.zeros(shape)
    images = as_images(batch)
    assert images.shape == expected
    assert images is batch or np.shares_memory(images, batch)


def test_padding_may_be_given_for_each_side():
    assert checked_sides([[0, 1], (2, 3)]) == ((0, 1), (2, 3))
    assert checked_sides('same') == 'same'
    for wrong in [((1, 2), 3), ((1, 2, 3), (1,)), ((1, -1), (0, 0)), ((1, 2),), ((1.0, 2), (0, 0))]:
        with pytest.raises(ValueError, match='padding: expected'):
            checked_sides(wrong)


def test_a_last_window_may_reach_beyond_the_padding_if_it_begins_before_it():
    for size, pads, expected in [(6, 0, 3), (5, 0, 2), (7, 1, 4), (6, (0, 1), 3)]:
        _, (count, _) = window_over((size, 9), (3, 1), (2, 1), (pads, 0), ceil_mode=True)
        assert count == expected
