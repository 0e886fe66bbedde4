import numpy as np
import pytest

from cnnx import SGD
from cnnx.parameter import Parameter


def test_sgd_follows_its_formula():
    parameter = Parameter('weights', np.array([[1.0, 2.0]]))
    optimizer, velocity, expected = SGD(momentum=0.5), np.zeros((1, 2)), parameter.value.copy()
    for step in range(5):
        parameter.grad[...] = gradient = np.array([[step, 1.0]])
        optimizer.update([parameter], 0.1)
        velocity = 0.5 * velocity + gradient
        expected -= 0.1 * velocity
    np.testing.assert_allclose(parameter.value, expected, rtol=1e-14)
    np.testing.assert_allclose(parameter.state['velocity'], velocity, rtol=1e-14)


def test_a_parameter_that_is_not_trainable_stays():
    parameter = Parameter('weights', np.ones(3), trainable=False)
    parameter.grad[...] = 1
    SGD().update([parameter], 0.1)
    assert (parameter.value == 1).all()


def test_parameters_of_one_name_in_two_networks_are_kept_apart():
    small, large = (Parameter('weights', np.zeros(size)) for size in (2, 5000))
    optimizer = SGD(momentum=0.5)
    for parameter in (small, large, small):
        parameter.grad[...] = 1
        optimizer.update([parameter], 1)
    assert (small.value == -2.5).all()
    assert (large.value == -1).all()


@pytest.mark.parametrize('momentum', [-0.1, 1, 1.5, float('nan'), 'much', None, True])
def test_momentum_out_of_range_is_refused(momentum):
    with pytest.raises(ValueError, match='momentum: expected'):
        SGD(momentum)


def test_a_number_of_any_kind_is_taken():
    assert SGD(np.float32(0.5)).settings() == {'momentum': 0.5}
