"""Which neighbouring layers run as one block."""

import numpy as np
import pytest

import cnnx
from cnnx import MaxPooling
from cnnx.execution.fusion import split


def network(size, padding):
    net = cnnx.Network(seed=0)
    for layer in (cnnx.Convolutional(4, 3, padding='same', input_shape=(size, size, 1)), cnnx.ReLU()):
        net.add(layer)
    net.add(MaxPooling(2, padding=padding))
    for layer in (cnnx.Flatten(), cnnx.Dense(output_size=3), cnnx.Softmax()):
        net.add(layer)
    net.compile(cnnx.CategoricalCrossEntropy())
    return net


@pytest.mark.parametrize(('size', 'in_blocks'), [(6, True), (7, False)])
def test_a_convolutions_block_takes_no_pooling_over_the_edges(size, in_blocks):
    net = network(size, 'same')
    assert net.layers[2].pads is not in_blocks
    assert [part.pooling is not None for part in split(net.layers)[:1]] == [in_blocks]
    rng = np.random.default_rng(0)
    x, y = rng.random((20, size, size, 1), np.float32), rng.integers(0, 3, 20)
    before = net.evaluate(x, y)['loss']
    net.train(x, y, epochs=10, learning_rate=0.2, batch_size=5, verbose=0)
    assert net.evaluate(x, y)['loss'] < before
