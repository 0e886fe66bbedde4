"""Convolutional layers."""

import numpy as np
import pytest

from cnnx import Convolutional, MaxPooling


def sums_over_windows(image, kernel, stride, padding):
    """Convolve with ones, which counts the pixels of ones that each window covers."""
    layer = Convolutional(
        1, kernel, stride, padding, kernel_initializer=lambda rng, shape, dtype: np.ones(shape, dtype)
    )
    return layer.forward(np.ones((1, *image, 1), np.float32))[0, :, :, 0].tolist()


@pytest.mark.usefixtures('each_backend')
def test_same_padding_puts_the_odd_one_at_the_end():
    assert sums_over_windows((1, 4), (1, 3), 2, 'same') == [[3, 2]]
    assert sums_over_windows((1, 3), (1, 2), 1, 'same') == [[2, 2, 1]]
    assert sums_over_windows((4, 1), (4, 1), 1, 'same') == [[3], [4], [3], [2]]


@pytest.mark.usefixtures('each_backend')
def test_same_padding_gives_ceil_of_input_by_stride():
    layer = Convolutional(2, 5, stride=2, padding='same').build((28, 27, 1))
    assert layer.output_shape == (14, 14, 2)


@pytest.mark.usefixtures('each_backend')
def test_a_kernel_larger_than_its_input_is_refused():
    for layer in (Convolutional(1, (3, 6)), MaxPooling((3, 6))):
        with pytest.raises(ValueError, match='3 x 6 does not fit into an input of 5 x 5'):
            layer.build((5, 5, 1))


@pytest.mark.usefixtures('each_backend')
def test_a_one_by_one_image_and_a_one_by_one_kernel():
    layer = Convolutional(2, 1, stride=3, padding='same')
    layer.build((1, 1, 1))
    layer.weights = [[[[2, 3]]]]
    assert layer.forward([[[[5.0]]]]).tolist() == [[[[10, 15]]]]
