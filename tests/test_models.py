"""Networks that are known by name, and the recipes for them."""

import inspect
import os
import re
import shutil

import numpy as np
import pytest
from models import bits

import cnnx
from cnnx import SGD, Network
from cnnx.data import preprocess_mnist_data
from cnnx.models import PRETRAINED, RECIPES, accurate, lenet5, pretrained
from tools import train_pretrained


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


def stated_accuracy():
    """The percentage in words that `cnnx predict` prints."""
    return float(re.search(r'([\d.]+) %', PRETRAINED['lenet5-mnist'])[1])


def test_the_packaged_network_is_a_lenet5_that_reads_the_bundled_digits():
    net = pretrained('lenet5-mnist')
    shapes = [{name: parameter.value.shape for name, parameter in net.parameters.items()} for net in (net, lenet5())]
    assert shapes[0] == shapes[1]
    train, test = preprocess_mnist_data()
    assert net.evaluate(train[0][:1000], train[1][:1000])['accuracy'] > 0.99
    assert net.evaluate(*test)['accuracy'] > 0.99


@pytest.mark.skipif(not os.environ.get('CNNX_DATA_DIR'), reason='needs MNIST: set CNNX_DATA_DIR')
def test_the_packaged_network_is_as_accurate_as_is_stated():
    _, test = preprocess_mnist_data(full=True)
    assert round(100 * pretrained('lenet5-mnist').evaluate(*test)['accuracy'], 1) == stated_accuracy()
    assert f'{stated_accuracy()} % of' in ' '.join(pretrained.__doc__.split())


def test_its_file_is_small():
    assert (cnnx.models.PRETRAINED_FOLDER / 'lenet5-mnist.npz').stat().st_size < 300_000


def test_other_names_and_damaged_files_are_refused(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="pretrained: expected one of lenet5-mnist, got 'lenet'"):
        pretrained('lenet')
    shutil.copytree(cnnx.models.PRETRAINED_FOLDER, tmp_path / 'pretrained')
    monkeypatch.setattr(cnnx.models, 'PRETRAINED_FOLDER', tmp_path / 'pretrained')
    path = tmp_path / 'pretrained' / 'lenet5-mnist.npz'
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)
    with pytest.raises(cnnx.CheckpointError, match='lenet5-mnist.npz'):
        pretrained('lenet5-mnist')


def test_the_script_makes_a_file_that_is_loaded(tmp_path, monkeypatch, capsys):
    (x, y), _ = preprocess_mnist_data()
    few = x[:64], y[:64]
    monkeypatch.setattr(train_pretrained, 'preprocess_mnist_data', lambda full: (few, few))
    monkeypatch.setitem(RECIPES['lenet'], 'epochs', 1)
    for module in (cnnx.models, train_pretrained):
        monkeypatch.setattr(module, 'PRETRAINED_FOLDER', tmp_path)
    train_pretrained.main(seed=3)
    accuracy = pretrained('lenet5-mnist').evaluate(*few)['accuracy']
    assert f'lenet5-mnist.npz: {accuracy:.2%} of the 64 test images' in capsys.readouterr().out
