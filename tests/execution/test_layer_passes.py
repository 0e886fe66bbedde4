"""LayerPasses: what every layer gives, and the gradients by it, on copies."""

import numpy as np
import pytest
from graph_networks import data, random_graph, residual
from models import bits, small_data, small_network

import cnnx
from cnnx.execution.layer_passes import LayerPasses


@pytest.mark.parametrize('seed', range(8))
def test_forward_ends_in_what_the_network_predicts(seed):
    net = random_graph(seed)
    x, _ = data(5)
    outputs = LayerPasses(net.layers, net.reads).forward(x)
    assert [y.shape[1:] for y in outputs] == [layer.shape for layer in net.layers]
    np.testing.assert_allclose(outputs[-1], net.predict(x), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize('fused', [True, False])
def test_backward_returns_the_gradient_that_the_network_does(fused):
    net = residual(fused=fused)
    x, _ = data(4)
    dy = np.random.default_rng(0).normal(size=(4, 3))
    passes = LayerPasses(net.layers, net.reads)
    passes.forward(x)
    gradients = passes.backward(dy)
    net.forward(x)
    np.testing.assert_allclose(gradients[0], net.backward(dy), rtol=1e-8, atol=1e-12)
    assert [gradient.shape[1:] for gradient in gradients[1:]] == [layer.shape for layer in net.layers]


def test_backward_from_a_layer_inside():
    net = small_network(dtype='float64')
    x, _ = small_data(2)
    x = x.astype(float)
    passes = LayerPasses(net.layers, net.reads)
    passes.forward(x)
    gradients = passes.backward(np.ones((2, 3)), last=-2)
    assert len(gradients) == len(net.layers)
    step = np.zeros_like(x)
    step[0, 2, 3, 0] = 1e-6
    above, below = (passes.forward(x + sign * step)[-2].sum() for sign in (1, -1))
    np.testing.assert_allclose(gradients[0][0, 2, 3, 0], (above - below) / 2e-6, rtol=1e-6)


def test_the_network_stays_as_it_is():
    net = small_network()
    x, y = small_data(8)
    net.train_on_batch(x, y)
    net.forward(x)
    gradients = [p.grad.copy() for p in net.parameters.values()]
    before = bits(net)
    passes = LayerPasses(net.layers, net.reads)
    passes.forward(x[:3] + 1)
    passes.backward(np.ones((3, 3), np.float32))
    assert bits(net) == before
    assert all(np.array_equal(p.grad, g) for p, g in zip(net.parameters.values(), gradients, strict=True))
    assert all(layer.trainable for layer in net.layers)
    net.backward(np.ones((8, 3)))  # of the forward pass before


class Scale(cnnx.Layer):
    """A layer of a user's own, which writes its gradient whether it is frozen or not."""

    def build(self, input_shape):
        self.factor = self.add_parameter('factor', input_shape, 'normal')

    def forward(self, x, training=False):
        self.x = x
        return x * self.factor.value

    def backward(self, dy):
        self.factor.grad = (dy * self.x).sum(axis=0)
        return dy * self.factor.value


def test_a_layer_of_ones_own_writes_gradients_of_the_copy():
    net = cnnx.Network([cnnx.Dense(3, 2), Scale()], seed=0)
    passes = LayerPasses(net.layers, net.reads)
    passes.forward(np.ones((4, 3), np.float32))
    dx = passes.backward(np.ones((4, 2), np.float32))[0]
    assert dx.any()
    assert not net.layers[1].factor.grad.any()
    net.layers[1].factor.value[...] = 0
    assert passes.forward(np.ones((4, 3), np.float32))[-1].any()
