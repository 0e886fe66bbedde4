"""Layers with weights, with a bias and without one."""

import numpy as np
import pytest

import cnnx

LAYERS = {
    'Dense': lambda **settings: cnnx.Dense(3, **settings).set_up((4,)),
    'Convolutional': lambda **settings: cnnx.Convolutional(3, 2, **settings).set_up((4, 4, 2)),
    'TransposedConvolutional': lambda **settings: cnnx.TransposedConvolutional(3, 2, **settings).set_up((4, 4, 2)),
}
kinds = pytest.mark.parametrize('kind', LAYERS)


@kinds
def test_without_a_bias_nothing_is_added(kind):
    layer, with_bias = LAYERS[kind](use_bias=False), LAYERS[kind]()
    assert layer.bias is None
    assert [parameter.name for parameter in layer.parameters] == ['weights']
    with_bias.weights = layer.weights
    with_bias.bias = [1, 2, 3]
    x = np.random.default_rng(0).normal(size=(2, *layer.input_shape)).astype(np.float32)
    np.testing.assert_allclose(
        with_bias.forward(x) - layer.forward(x), np.broadcast_to([1, 2, 3], (2, *layer.shape)), 1e-5
    )


@kinds
def test_weights_and_bias_are_copied_in(kind):
    layer = LAYERS[kind]()
    wanted = np.ones(layer.weights.shape)
    layer.weights = wanted
    wanted[...] = 7
    assert (layer.weights == 1).all()
    with pytest.raises(ValueError, match=rf'{kind}: expected bias of shape \(3,\), got \(2,\)'):
        layer.bias = [1, 2]


@kinds
def test_use_bias_is_true_or_false(kind):
    with pytest.raises(ValueError, match='use_bias: expected True or False'):
        LAYERS[kind](use_bias='no')
