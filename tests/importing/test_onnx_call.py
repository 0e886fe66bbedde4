"""What functions of operators get."""

import numpy as np
import pytest

from cnnx.importing.draft import Draft, Value
from cnnx.importing.onnx_call import Call, with_constant
from cnnx.importing.onnx_file import Node

IMAGE = Value(-1, (3, 4, 5), (1, 2, 0))


def call(*inputs, **attributes):
    return Call(Draft((4, 5, 3)), Node('', 'Add', (), ('y',), attributes), list(inputs), 13, None)


def test_inputs_are_values_or_constants():
    made = call(IMAGE, np.array([[1, 2]]), None)
    assert made.value() is IMAGE
    assert made.numbers(1, 'pads') == [1, 2]
    assert made.array(2, 'bias') is made.array(3, 'bias') is None
    with pytest.raises(ValueError, match='input 1: expected what depends on the input of the network, got a constant'):
        made.value(1)
    with pytest.raises(ValueError, match='weights: expected a constant, got what depends on the input'):
        made.array(0, 'weights')
    with pytest.raises(ValueError, match='weights: expected a constant, got none'):
        made.needed(2, 'weights')


def test_constants_are_a_number_or_one_for_each_number_of_an_axis():
    assert with_constant(call(), IMAGE, np.array([[2.0]]))[1] == 2
    assert with_constant(call(), IMAGE, np.full((3, 4, 5), 2.0))[1] == 2
    value, numbers = with_constant(call(), IMAGE, np.arange(3.0).reshape(3, 1, 1))
    assert (value, numbers.tolist()) == (IMAGE, [0, 1, 2])
    moved, _ = with_constant(call(), IMAGE, np.arange(5.0))
    assert moved.axes[-1] == 2
    for shape in [(3, 1), (4, 5), (2, 1, 1, 1), (1, 1, 1, 1, 1), (0,)]:
        with pytest.raises(ValueError, match='expected a constant with a number for each channel'):
            with_constant(call(), IMAGE, np.random.default_rng(0).random(shape))
