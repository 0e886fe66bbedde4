"""The arithmetic of floats in C: functions of activations."""

from cnnx.export.c_float import FUNCTIONS, functions
from cnnx.export.steps import ACTIVATIONS, UP_TO


def test_functions_that_are_called_are_written_once():
    assert functions(['y = leaky_relu(x, 0.1f);']) == [FUNCTIONS['leaky_relu'][0]]
    assert functions(['y = silu(x);']) == [FUNCTIONS['sigmoid'][0], FUNCTIONS['silu'][0]]
    assert functions(['y = tanhf(x);']) == []


def test_every_activation_has_its_function():
    assert {*FUNCTIONS, 'tanh'} == {*ACTIVATIONS.values(), UP_TO}
