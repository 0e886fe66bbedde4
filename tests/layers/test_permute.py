"""Permute: axes in another order."""

import numpy as np
import pytest

from cnnx import Permute


def test_axes_are_put_into_the_order_given_and_back():
    x = np.arange(24.0).reshape(1, 2, 3, 4)
    layer = Permute((2, 0, 1))
    y = layer.forward(x)
    assert (y == x.transpose(0, 3, 1, 2)).all()
    assert (layer.backward(y) == x).all()


@pytest.mark.parametrize('axes', [(), (1, 2, 3), (0, 0), (0, 1.0), 'ab', 3, None])
def test_what_is_no_order_is_refused(axes):
    with pytest.raises(ValueError, match='axes: expected each axis of a sample once'):
        Permute(axes)


def test_axes_have_to_fit_the_input():
    with pytest.raises(ValueError, match=r'does not fit the 3 axes of \(2, 3, 4\)'):
        Permute((1, 0), input_shape=(2, 3, 4)).set_up()
