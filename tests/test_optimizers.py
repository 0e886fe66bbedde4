import numpy as np
import pytest

from cnnx import SGD
from cnnx.parameter import Parameter


def test_sgd_follows_its_formula():
    parameter = Parameter('weights', np.array([[1.0, 2.0]]))
    optimizer, velocity, expected = SGD(momentum=0.5), np.zeros((1, 2)), parameter.value.copy()
    for step in range(5):
        parameter.grad[...] = gradient = np.array([[step, 1.0]])
        optimizer.update({'weights_0': parameter}, 0.1)
        velocity = 0.5 * velocity + gradient
        expected -= 0.1 * velocity
    np.testing.assert_allclose(parameter.value, expected, rtol=1e-14)
    np.testing.assert_allclose(optimizer.state()['velocity_weights_0'], velocity, rtol=1e-14)


def test_a_parameter_that_is_not_trainable_stays():
    parameter = Parameter('weights', np.ones(3), trainable=False)
    parameter.grad[...] = 1
    SGD().update({'weights_0': parameter}, 0.1)
    assert (parameter.value == 1).all()


def test_the_state_goes_from_one_optimizer_to_another():
    ours, theirs = (Parameter('weights', np.ones(3, np.float32)) for _ in range(2))
    first, second = SGD(0.9), SGD(0.9)
    ours.grad[...] = theirs.grad[...] = [1, 2, 3]
    first.update({'w': ours}, 0.1)
    second.restore(first.state(), {'w': theirs})
    theirs.value[...] = ours.value
    for optimizer, parameter in ((first, ours), (second, theirs)):
        optimizer.update({'w': parameter}, 0.1)
    assert ours.value.tobytes() == theirs.value.tobytes()
    with pytest.raises(ValueError, match=r'velocity_w: expected shape \(3,\), got \(2,\)'):
        second.restore({'velocity_w': np.zeros(2)}, {'w': theirs})


@pytest.mark.parametrize('momentum', [-0.1, 1, 1.5, float('nan'), 'much', None])
def test_momentum_out_of_range_is_refused(momentum):
    with pytest.raises(ValueError, match='momentum: expected'):
        SGD(momentum)
