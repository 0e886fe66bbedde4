"""Rescaling: a given scale and offset."""

import numpy as np
import pytest

from cnnx import Rescaling


def test_numbers_are_for_all_channels_or_for_each():
    x = np.array([[1.0, 2.0]])
    assert Rescaling(2).forward(x).tolist() == [[2, 4]]
    layer = Rescaling([2, 3], np.array([10.0, 20.0]))
    assert layer.forward(x).tolist() == [[12, 26]]
    assert layer.backward(x).tolist() == [[2, 6]]


@pytest.mark.parametrize('wrong', [None, 'a', np.nan, [], [1, None], [[1]], True])
def test_what_is_no_number_is_refused(wrong):
    with pytest.raises(ValueError, match='expected a finite number, or a sequence'):
        Rescaling(wrong)
    with pytest.raises(ValueError, match='offset: expected'):
        Rescaling(1, wrong)


def test_there_is_one_number_or_one_for_each_channel():
    with pytest.raises(ValueError, match='scale: expected one number, or 3, got 2'):
        Rescaling([1, 2], input_shape=(4, 3)).set_up()
