"""Flatten: each sample's numbers in one row."""

import numpy as np

from cnnx import Flatten


def test_samples_become_rows_in_row_major_order_and_gradients_images_again():
    layer, x = Flatten(), np.arange(24, dtype='f4').reshape(2, 2, 3, 2)
    assert layer.forward(x).tolist() == [list(range(12)), list(range(12, 24))]
    np.testing.assert_array_equal(layer.backward(np.arange(24).reshape(2, 12)), x)


def test_rows_stay_rows():
    assert Flatten().forward([[1, 2, 3]]).tolist() == [[1, 2, 3]]
