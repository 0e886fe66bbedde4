"""Which neighbouring layers run as one block."""

import numpy as np
import pytest

import cnnx
from cnnx import BatchNormalization, Convolutional, Dense, Dropout, Flatten, MaxPooling, ReLU, Tanh
from cnnx.execution.fusion import fuse


def network(size, padding):
    net = cnnx.Network(seed=0)
    for layer in (cnnx.Convolutional(4, 3, padding='same', input_shape=(size, size, 1)), cnnx.ReLU()):
        net.add(layer)
    net.add(MaxPooling(2, padding=padding))
    for layer in (cnnx.Flatten(), cnnx.Dense(output_size=3), cnnx.Softmax()):
        net.add(layer)
    net.compile(cnnx.CategoricalCrossEntropy())
    return net


def blocks_of(layers, capsys):
    """Return which layers the summary of a network says to run as one block."""
    net = cnnx.Network(seed=0)
    for layer in layers:
        net.add(layer)
    net.summary()
    lines = capsys.readouterr().out.splitlines()
    return [line.split(' ', 1)[1].split(' run as')[0] for line in lines if 'as one block' in line]


def images(*layers):
    return Convolutional(4, 3, input_shape=(8, 8, 1)), *layers


@pytest.mark.parametrize(
    ('layers', 'expected'),
    [
        (images(), []),
        (images(ReLU()), ['0-1 Convolutional, ReLU']),
        (images(ReLU(), MaxPooling(2)), ['0-2 Convolutional, ReLU, MaxPooling']),
        (images(MaxPooling(2), ReLU(), Flatten()), ['0-3 Convolutional, MaxPooling, ReLU, Flatten']),
        (images(ReLU(), ReLU()), ['0-1 Convolutional, ReLU']),
        (images(ReLU(), MaxPooling(2), MaxPooling(2)), ['0, 2 Convolutional, MaxPooling']),
        (images(Tanh(), MaxPooling(2)), ['0, 2 Convolutional, MaxPooling']),
        (images(ReLU(max_value=6)), []),
        (images(ReLU(max_value=6), MaxPooling(2)), []),
        (images(ReLU(), MaxPooling(2, dilation=2)), ['0-1 Convolutional, ReLU']),
        (images(MaxPooling(2, padding=1), ReLU()), []),
        (images(BatchNormalization(), ReLU()), []),
        (images(Dropout(0.5), ReLU()), []),
        ((Dense(4, 3), ReLU(), Dense(output_size=2)), ['0-1 Dense, ReLU']),
        ((Dense(4, 3), Tanh(), Dense(output_size=2), Flatten()), ['2-3 Dense, Flatten']),
    ],
)
def test_layers_that_run_as_one_block_are_in_the_summary(layers, expected, capsys):
    assert blocks_of(layers, capsys) == expected


@pytest.mark.parametrize(('size', 'in_blocks'), [(6, True), (7, False)])
def test_a_convolutions_block_takes_no_pooling_over_the_edges(size, in_blocks):
    net = network(size, 'same')
    assert net.layers[2].pads is not in_blocks
    assert [part.pooling is not None for part in fuse(net.layers)[:1]] == [in_blocks]
    rng = np.random.default_rng(0)
    x, y = rng.random((20, size, size, 1), np.float32), rng.integers(0, 3, 20)
    before = net.evaluate(x, y)['loss']
    net.train(x, y, epochs=10, learning_rate=0.2, batch_size=5, verbose=0)
    assert net.evaluate(x, y)['loss'] < before


def test_layers_that_blocks_do_not_compute_give_the_same_within_a_fused_network():
    layers = [
        *(
            cnnx.Convolutional(4, 3, input_shape=(9, 8, 2)),
            cnnx.ReLU(max_value=0.4),
            cnnx.MaxPooling(2, stride=1),
            cnnx.MaxPooling(2, stride=1, dilation=2),
        ),
        *(cnnx.Convolutional(3, 2, padding=1), cnnx.ReLU(), cnnx.AveragePooling(3, padding=1, count_include_pad=True)),
        *(cnnx.MaxPooling(2, padding=((0, 1), (1, 0)), ceil_mode=True), cnnx.Flatten(), cnnx.Dense(3), cnnx.Softmax()),
    ]
    rng, results = np.random.default_rng(0), []
    x, y = rng.random((20, 9, 8, 2)), rng.integers(0, 3, 20)
    for fused in (True, False):
        net = cnnx.Network([type(layer)(input_shape=layer.input_shape, **layer.settings()) for layer in layers], seed=0)
        net.fused = fused
        net.compile(cnnx.CategoricalCrossEntropy())
        net.train(x, y, epochs=3, learning_rate=0.1, batch_size=5, verbose=0)
        results.append(net.predict(x))
    np.testing.assert_allclose(*results, rtol=1e-4)
