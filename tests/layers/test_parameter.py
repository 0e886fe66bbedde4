"""Parameters: arrays that training changes."""

import numpy as np
import pytest

from cnnx import Dense


def test_what_kernels_write_into_keeps_its_shape():
    layer = Dense(4, 3).build()
    weights = layer.parameters[0]
    for name in ('value', 'grad'):
        with pytest.raises(ValueError, match=r'expected weights of shape \(4, 3\), got \(1, 1\)'):
            setattr(weights, name, np.zeros((1, 1)))
        setattr(weights, name, np.asfortranarray(np.ones((4, 3), 'f8')))
        assert getattr(weights, name).dtype == 'float32'
    assert layer.forward([[1, 2, 3, 4]]).tolist() == [[10, 10, 10]]
