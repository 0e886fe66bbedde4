"""A network as steps."""

import numpy as np
import pytest
from graph_networks import residual

import cnnx
from cnnx.export import steps as kinds
from cnnx.export.steps import steps_of


def test_lenet_is_six_steps():
    steps = steps_of(cnnx.models.lenet5(seed=0))
    assert [type(step) for step in steps] == [kinds.Product] * 5 + [kinds.Softmax]
    assert [step.value for step in steps] == [2, 5, 8, 10, 11, 12]
    assert [step.reads for step in steps] == [(-1,), (2,), (5,), (8,), (10,), (11,)]
    assert steps[0].pooling.is_maximum
    assert steps[0].activation.name == 'relu'


def test_batch_normalization_becomes_part_of_the_weights():
    net = residual()
    names = [[type(layer).__name__ for layer in step.layers] for step in steps_of(net)]
    assert names[1] == ['Convolutional', 'BatchNormalization', 'ReLU']
    assert names[2] == ['Convolutional', 'BatchNormalization']
    assert names[3] == ['Add']
    assert not any(kind in names for kind in (['BatchNormalization'], ['Dropout'], ['Flatten']))


def test_values_that_several_layers_read_are_kept():
    x = cnnx.Input((6, 6, 1))
    h = cnnx.Convolutional(2, 3, padding='same')(x)
    y = cnnx.Add()([cnnx.ReLU()(h), h])
    steps = steps_of(cnnx.Network(inputs=x, outputs=y))
    assert [type(step) for step in steps] == [kinds.Product, kinds.Map, kinds.Merge]
    assert steps[2].reads == (1, 0)


def test_the_last_layer_can_stay_apart():
    net = cnnx.Network([cnnx.Dense(3, 1), cnnx.Sigmoid()], seed=0)
    assert len(steps_of(net)) == 1
    assert [type(step) for step in steps_of(net, apart=kinds.HEADS)] == [kinds.Product, kinds.Map]


def test_layers_of_ones_own_are_refused():
    class Own(cnnx.ReLU):
        pass

    with pytest.raises(ValueError, match=r'layer 1 \(Own\) is of a kind that cannot be exported'):
        steps_of(cnnx.Network([cnnx.Dense(2, 2), Own()]))


def test_weights_have_to_be_finite():
    net = cnnx.Network([cnnx.Dense(2, 2)])
    net.layers[0].weights[0, 0] = np.nan
    with pytest.raises(ValueError, match=r'layer 0 \(Dense\): expected finite weights'):
        steps_of(net)
