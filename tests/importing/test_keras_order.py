"""The order in which Keras has layers that branch."""

import cnnx
from cnnx.importing.keras_order import keras_orders


def test_a_chain_has_one_order():
    net = cnnx.Network([cnnx.Dense(2, input_shape=(3,)), cnnx.ReLU(), cnnx.Dense(2)])
    assert keras_orders(net) == [[0, 1, 2]]


def test_layers_far_from_the_output_come_first():
    x = cnnx.Input((3,))
    a = cnnx.Dense(2)(x)  # 0
    b = cnnx.Dense(2)(cnnx.ReLU()(cnnx.Dense(2)(x)))  # 1, 2, 3
    net = cnnx.Network(inputs=x, outputs=cnnx.Add()([a, b]))
    separate, together, own = keras_orders(net)
    assert separate == [1, 2, 0, 3, 4]
    assert together == [2, 1, 0, 3, 4]
    assert own == [0, 1, 2, 3, 4]
