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


@pytest.mark.usefixtures('each_backend')
def test_an_output_and_gradients_by_hand():
    layer = Dense(2, 3)
    layer.weights, layer.bias = [[1, 2, 3], [4, 5, 6]], [100, 200, 300]
    assert layer.forward([[1, 10], [0, 1]]).tolist() == [[141, 252, 363], [104, 205, 306]]
    assert layer.backward([[1, 0, 2], [0, 1, 0]]).tolist() == [[7, 16], [2, 5]]
    weights, bias = layer.parameters
    assert weights.grad.tolist() == [[1, 0, 2], [10, 1, 20]]
    assert bias.grad.tolist() == [1, 1, 2]


def test_the_output_size_is_needed_and_may_stand_alone():
    with pytest.raises(ValueError, match=r'Dense: give both sizes, Dense\(400, 120\), or the output size alone'):
        Dense(input_size=3)
    for layer in (Dense(2), Dense(output_size=2)):
        assert layer.forward(np.zeros((4, 3))).shape == (4, 2)


@pytest.mark.parametrize(('sizes', 'named'), [((1, 2, 3), {}), ((1,), {'output_size': 2}), ((2,), {'input_size': 1})])
def test_sizes_given_twice_are_refused(sizes, named):
    with pytest.raises(ValueError, match=r'expected Dense\(output_size\) or Dense\(input_size, output_size\)'):
        Dense(*sizes, **named)


@pytest.mark.parametrize('sizes', [(0, 3), (3, 0), (3, 1.5), ('3', 2)])
def test_sizes_that_are_none_are_refused(sizes):
    with pytest.raises(ValueError, match='put_size: expected a whole number of at least 1'):
        Dense(*sizes)


def test_images_are_refused():
    with pytest.raises(ValueError, match=r'Dense: expected input \(size,\), got \(4, 4, 1\); put a Flatten before it'):
        Dense(output_size=3).forward(np.zeros((1, 4, 4, 1)))
