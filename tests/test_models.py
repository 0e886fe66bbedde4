"""Networks that are known by name, and the recipes for them."""

import inspect

import numpy as np
import pytest
from models import bits

from cnnx import SGD, Network
from cnnx.models import RECIPES, accurate, lenet5


def test_lenet5_has_the_sizes_of_the_paper():
    net = lenet5(seed=0)
    shapes = {name: parameter.value.shape for name, parameter in net.parameters.items() if name.startswith('weights')}
    expected = [(5, 5, 1, 6), (5, 5, 6, 16), (400, 120), (120, 84), (84, 10)]
    assert list(shapes.values()) == expected
    assert sum(layer.parameter_count for layer in net.layers) == 61_706


@pytest.mark.parametrize('make', [lenet5, accurate])
def test_arguments_arrive_at_the_network(make):
    net = make(seed=3, dtype='float64', momentum=0.5, fused=False, classes=4)
    assert bits(net) == bits(make(3, 'float64', classes=4)) != bits(make(4, 'float64', classes=4))
    assert (net.dtype, net.layers[-1].shape, net.optimizer.momentum) == ('float64', (4,), 0.5)
    assert (net.fused, make().fused) == (False, True)
    assert make().layers[-1].shape == (10,)


@pytest.mark.parametrize('name', RECIPES)
def test_a_recipe_is_what_train_takes(name):
    recipe = dict(RECIPES[name])
    net = recipe.pop('network')(seed=0)
    net.compile(net.loss, SGD(momentum=recipe.pop('momentum'), weight_decay=recipe.pop('weight_decay')))
    assert 0 <= recipe.pop('average_shifts') < 28
    assert recipe.pop('epochs') > 10
    rate = recipe.pop('schedule')(recipe.pop('learning_rate'))
    assert recipe.keys() <= inspect.signature(Network.train).parameters.keys()
    x = np.random.default_rng(0).random((8, 28, 28, 1), np.float32)
    assert np.isfinite(net.train(x, np.arange(8), epochs=1, learning_rate=rate, verbose=0, **recipe)['loss']).all()
