"""Flatten and Reshape: the same numbers in another shape."""

import numpy as np
import pytest

from cnnx import Flatten, Reshape


def test_samples_become_rows_in_row_major_order_and_gradients_images_again():
    layer, x = Flatten(), np.arange(24, dtype='f4').reshape(2, 2, 3, 2)
    assert layer.forward(x).tolist() == [list(range(12)), list(range(12, 24))]
    np.testing.assert_array_equal(layer.backward(np.arange(24).reshape(2, 12)), x)


def test_rows_stay_rows():
    assert Flatten().forward([[1, 2, 3]]).tolist() == [[1, 2, 3]]


def test_reshape_keeps_the_order_and_fills_in_one_size():
    layer, x = Reshape((-1, 2)), np.arange(12, dtype='f4').reshape(2, 3, 2, 1)
    assert layer.forward(x).tolist() == [[[0, 1], [2, 3], [4, 5]], [[6, 7], [8, 9], [10, 11]]]
    np.testing.assert_array_equal(layer.backward(np.arange(12).reshape(2, 3, 2)), x)
    assert layer.target_shape == (-1, 2)


@pytest.mark.parametrize('wrong', [(), (0, 3), (-1, -1), (-2,), (1.5,), None, '3'])
def test_what_is_no_shape_is_refused(wrong):
    with pytest.raises(ValueError, match='target_shape: expected a shape such as'):
        Reshape(wrong)


@pytest.mark.parametrize('target', [(5,), (5, -1), (2, 3)])
def test_a_shape_of_another_size_is_refused(target):
    with pytest.raises(ValueError, match=r'Reshape: target_shape: .* does not fit the 12 numbers of \(3, 4\)'):
        Reshape(target, input_shape=(3, 4)).set_up()
