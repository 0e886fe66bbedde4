"""Parameters: arrays that training changes."""

import copy
import pickle

import numpy as np
import pytest

from cnnx import Dense
from cnnx.layers.parameter import Parameter


def test_what_kernels_write_into_keeps_its_shape():
    layer = Dense(4, 3).set_up()
    weights = layer.parameters[0]
    for name in ('value', 'grad'):
        with pytest.raises(ValueError, match=r'expected weights of shape \(4, 3\), got \(1, 1\)'):
            setattr(weights, name, np.zeros((1, 1)))
        setattr(weights, name, np.asfortranarray(np.ones((4, 3), 'f8')))
        assert getattr(weights, name).dtype == 'float32'
    assert layer.forward([[1, 2, 3, 4]]).tolist() == [[10, 10, 10]]


def test_a_parameter_copies_what_it_is_given_and_what_is_assigned():
    first = np.ones((2, 2))
    parameter = Parameter('weights', first)
    value = parameter.value
    parameter.value = [[1, 2], [3, 4]]
    assert parameter.value is value
    assert value.tolist() == [[1, 2], [3, 4]]
    assert first.tolist() == [[1, 1], [1, 1]]
    assert (parameter.grad == 0).all()


def test_a_copy_and_a_pickle_have_arrays_of_their_own():
    parameter = Parameter('weights', np.ones(3, 'f4'), trainable=False)
    parameter.grad, parameter.updates = [1, 2, 3], 7
    parameter.state['velocity'] = np.full(3, 0.5, 'f4')
    for again in (copy.deepcopy(parameter), pickle.loads(pickle.dumps(parameter))):
        assert (again.name, again.trainable, again.updates) == ('weights', False, 7)
        again.value += 1
        again.state['velocity'] += 1
        assert again.grad.tolist() == [1, 2, 3]
    assert parameter.value.tolist() == [1, 1, 1]
    assert parameter.state['velocity'].tolist() == [0.5, 0.5, 0.5]


def test_it_is_printed_with_shape_and_dtype():
    assert repr(Parameter('bias', np.zeros(3, 'f4'))) == "Parameter('bias', shape=(3,), dtype=float32)"


def test_a_parameter_from_arrays_that_are_read_only_can_learn():
    parameter = Parameter('weights', np.ones(3, 'f4'))
    parameter.state['velocity'] = np.ones(3, 'f4')
    for array in (parameter.value, parameter.grad, parameter.state['velocity']):
        array.flags.writeable = False
    again = copy.copy(parameter)
    assert again.value.flags.writeable
    assert again.grad.flags.writeable
    assert again.state['velocity'].flags.writeable
