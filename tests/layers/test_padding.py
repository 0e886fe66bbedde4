"""ZeroPadding and Cropping."""

import numpy as np
import pytest

from cnnx import Cropping, ZeroPadding


def test_rows_and_columns_of_zeros_come_around_the_image_and_go_again():
    x = np.array([[1.0, 2], [3, 4]]).reshape(1, 2, 2, 1)
    padded = ZeroPadding(((0, 1), (2, 0))).forward(x)
    assert padded[0, :, :, 0].tolist() == [[0, 0, 1, 2], [0, 0, 3, 4], [0, 0, 0, 0]]
    cropping = Cropping(((0, 1), (2, 0)))
    assert (cropping.forward(padded) == x).all()
    assert (cropping.backward(x) == padded).all()


def test_a_number_is_for_all_sides_and_a_pair_for_height_and_width():
    x = np.ones((1, 5, 7, 1))
    assert ZeroPadding(2).forward(x).shape == (1, 9, 11, 1)
    assert Cropping(2).forward(x).shape == (1, 1, 3, 1)
    assert ZeroPadding((0, 1)).forward(x).shape == (1, 5, 9, 1)
    assert Cropping((1, 0)).forward(x).shape == (1, 3, 7, 1)


@pytest.mark.parametrize('kind', [ZeroPadding, Cropping])
@pytest.mark.parametrize('wrong', [-1, 1.5, (1,), (1, 2, 3), ((1, 2), (3,)), 'same', None])
def test_what_is_no_number_of_pixels_is_refused(kind, wrong):
    with pytest.raises(ValueError, match='expected a whole number of at least 0, a pair'):
        kind(wrong)


def test_a_cropping_that_leaves_nothing_is_refused():
    with pytest.raises(ValueError, match=r'Cropping: cropping: .* leaves nothing of 4 x 9 pixels'):
        Cropping(2, input_shape=(4, 9, 1)).set_up()
