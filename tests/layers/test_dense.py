"""Dense layers."""

import numpy as np
import pytest

from cnnx import Dense


@pytest.mark.usefixtures('each_backend')
def test_denormals_and_huge_numbers_pass():
    layer = Dense(2, 1, kernel_initializer='zeros')
    layer.weights = [[1], [0]]
    assert layer.forward(np.array([[1e-40, 0], [3e38, 0]], np.float32)).tolist() == [
        [pytest.approx(1e-40, rel=1e-3)],
        [pytest.approx(3e38)],
    ]


@pytest.mark.parametrize('arguments', [{'input_size': -5}, {'input_size': 5}])
def test_input_sizes_that_contradict_each_other_are_refused(arguments):
    with pytest.raises(ValueError, match='input_size'):
        Dense(output_size=2, input_shape=(7,), **arguments)
