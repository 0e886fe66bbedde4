"""What all layers share: building, shapes, parameters."""

import numpy as np
import pytest

import cnnx
from cnnx import Dense, Network


def test_parameters_are_there_as_soon_as_shapes_are():
    assert [parameter.name for parameter in Dense(4, 3).parameters] == ['weights', 'bias']
    assert Dense(output_size=3).parameters == []


def test_a_layer_that_fails_to_build_in_any_way_can_be_added_again():
    failing = iter([True, False])

    def initializer(rng, shape, dtype):
        if next(failing):
            raise TypeError('not yet')
        return np.ones(shape, dtype)

    net, layer = Network(), Dense(2, 2, kernel_initializer=initializer)
    with pytest.raises(TypeError, match='not yet'):
        net.add(layer)
    net.add(layer)
    assert net.predict([[1, 2]]).tolist() == [[3, 3]]


def test_an_unbuilt_layer_needs_a_batch():
    for x in (np.float32(1), np.zeros(3)):
        with pytest.raises(ValueError, match=r'ReLU: expected input \(N, ...\), got .*add a batch axis'):
            cnnx.ReLU().forward(x)


def test_a_wrong_seed_changes_nothing():
    layer = cnnx.Dropout(0.5)
    with pytest.raises(TypeError):
        layer.build((3,), rng='seed')
    assert (layer.input_shape, layer.dtype, layer.generator) == (None, None, None)


def test_a_layer_that_could_not_be_built_can_be_built_again():
    results = iter([np.zeros(3), np.ones((3, 2))])
    layer = cnnx.Dense(output_size=2, kernel_initializer=lambda rng, shape, dtype: next(results))
    with pytest.raises(ValueError, match=r'Dense: kernel_initializer: expected .*\(3, 2\)'):
        layer.forward([[1, 2, 3]])
    assert layer.forward([[1, 2, 3]]).tolist() == [[6, 6]]
