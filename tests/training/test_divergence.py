"""Divergence: a run is stopped before its weights are spoilt, with the place and the cause."""

import re

import numpy as np
import pytest
from models import bits, small_data, small_network

import cnnx
from cnnx import DivergenceError, MeanSquaredError, checkpoint
from cnnx.callbacks import BestCheckpoint
from cnnx.training.divergence import check_weights


def diverge(net, x, y, message, **options):
    """Train until it diverges; hold the weights to those of the batches before."""
    steps, step = [], net.optimizer.step
    net.optimizer.step = lambda *rest: (step(*rest), steps.append(bits(net)))
    before = bits(net)
    with pytest.raises(DivergenceError, match=message) as caught:
        net.train(x, y, **({'epochs': 3, 'batch_size': 8, 'verbose': 0, 'shuffle': False} | options))
    assert bits(net) == (steps[-1] if steps else before)
    return str(caught.value), len(steps)


@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf])
def test_a_sample_that_is_not_finite(value):
    x, y = small_data(50)
    x[21, 3, 3, 0] = value
    message, steps = diverge(small_network(), x, y, r'epoch 1, batch 3 of 7: ')
    assert 'sample 21 of x holds a number that is not finite' in message
    assert steps == 2


@pytest.mark.parametrize('value', [np.nan, 1e300])  # which float32 cannot hold
def test_a_target_that_is_not_finite(value):
    x, _ = small_data(20)
    y = np.zeros((20, 3))
    y[9, 1] = value
    net = small_network(loss=MeanSquaredError())
    message, steps = diverge(net, x, y, r'epoch 1, batch 2 of 3: the loss is (nan|inf)')
    assert 'sample 9 of y holds a number that is not finite' in message
    assert steps == 1


def test_a_learning_rate_that_is_far_too_large():
    x, y = small_data(50)
    net = cnnx.Network(seed=0)
    net.add(cnnx.Flatten(input_shape=(6, 6, 1)))
    net.add(cnnx.Dense(output_size=20))
    net.add(cnnx.ReLU())
    net.add(cnnx.Dense(output_size=3))
    net.compile(MeanSquaredError(), cnnx.SGD())
    message, steps = diverge(net, x, np.eye(3)[y], r'epoch 1, batch \d of 7', learning_rate=1e12)
    assert steps > 0
    assert 'The learning rate was 1e+12: try a smaller one' in message
    assert all(np.isfinite(parameter.value).all() for parameter in net.parameters.values())


@pytest.mark.parametrize('blocks', [True, False])
def test_the_layer_whose_output_overflows_is_named(blocks):
    x, y = small_data(20)
    net = small_network()
    if not blocks:
        net.fused = False
    net.layers[0].weights[...] = 3e38
    message, steps = diverge(net, x, y, 'epoch 1, batch 1 of 3: the loss is nan')
    assert 'layer 0 (Convolutional) is the first whose output is not finite' in message
    assert steps == 0


def test_weights_that_were_not_finite_before_are_named():
    x, y = small_data(20)
    net = small_network()
    net.layers[4].bias[1] = np.inf
    message, _ = diverge(net, x, y, 'epoch 1, batch 1 of 3: the loss is')
    assert 'the bias of layer 4 (Dense) already held numbers that are not finite' in message


def test_a_gradient_that_overflows_while_the_loss_is_finite():
    x = np.full((4, 2), 1e30, np.float32)
    net = cnnx.Network(seed=0)
    net.add(cnnx.Dense(2, 2, kernel_initializer='zeros'))
    net.compile(MeanSquaredError(), cnnx.SGD())
    y = np.full((4, 2), 1e10)
    message, steps = diverge(net, x, y, 'epoch 1, batch 1 of 1: the gradient of weights of layer 0', batch_size=4)
    assert 'the outputs of all layers are finite' in message
    assert steps == 0


def test_the_last_good_checkpoint_remains_and_the_run_goes_on_from_it(tmp_path):
    x, y = small_data(50)
    net = small_network()
    options = {'batch_size': 8, 'verbose': 0, 'checkpoint_dir': tmp_path}
    net.train(x, y, epochs=2, **options)
    bad = x.copy()
    bad[49] = np.nan
    with pytest.raises(DivergenceError, match='epoch 3, batch'):
        net.train(bad, y, epochs=3, resume_from_checkpoint=True, **options)
    assert sorted(path.name for path in tmp_path.glob('*.npz')) == ['model_epoch_1.npz', 'model_epoch_2.npz']
    whole, resumed = small_network(), small_network(1)
    whole.train(x, y, epochs=3, batch_size=8, verbose=0)
    resumed.train(x, y, epochs=3, resume_from_checkpoint=True, **options)
    assert bits(resumed) == bits(whole)
    checkpoint.read_newest(tmp_path, 'model')


def test_weights_that_a_step_has_spoilt_are_not_saved(tmp_path):
    x = np.full((4, 2), 1e19, np.float32)
    net = cnnx.Network(seed=0)
    net.add(cnnx.Dense(2, 2, kernel_initializer='zeros'))
    net.compile(MeanSquaredError(), cnnx.SGD())
    with pytest.raises(DivergenceError, match='epoch 1, after 1 batches: the weights of layer 0 .* are not saved'):
        net.train(x, x, epochs=2, batch_size=4, learning_rate=1e10, verbose=0, checkpoint_dir=tmp_path)
    assert list(tmp_path.glob('*.npz')) == []


def test_weights_that_the_last_step_has_spoilt_are_reported():
    x = np.full((4, 2), 1e19, np.float32)
    net = cnnx.Network(seed=0)
    net.add(cnnx.Dense(2, 2, kernel_initializer='zeros'))
    net.compile(MeanSquaredError(), cnnx.SGD())
    with pytest.raises(DivergenceError, match='a step was too large'):
        net.train(x, x, epochs=1, batch_size=4, learning_rate=1e10, verbose=0)


def test_a_running_variance_that_an_input_has_spoilt_is_reported(tmp_path):
    x, y = small_data(20)
    x[7, 0, 0, 0] = 1e25
    net = cnnx.Network(seed=0)
    for layer in (cnnx.BatchNormalization(input_shape=(6, 6, 1)), cnnx.Flatten(), cnnx.Dense(output_size=3)):
        net.add(layer)
    net.add(cnnx.Softmax())
    net.compile(cnnx.CategoricalCrossEntropy(), 'sgd')
    with pytest.raises(DivergenceError, match='the running_variance of layer 0 .*input was too large. Look at x'):
        net.train(x, y, epochs=1, batch_size=8, verbose=0, checkpoint_dir=tmp_path)
    net.layers[2].weights[0, 0] = np.nan
    with pytest.raises(DivergenceError, match='a step was too large'):
        check_weights(net, 'here')


def test_weights_that_the_last_step_of_an_epoch_spoils_replace_no_best_ones(tmp_path):
    best = BestCheckpoint(tmp_path / 'best.npz', monitor='loss')
    options = {'epochs': 3, 'batch_size': 8, 'verbose': 0, 'callbacks': [best]}
    with pytest.raises(DivergenceError, match='epoch 2, after 4 batches'):
        small_network().train(*small_data(32), learning_rate=lambda step, _: 1e39 if step == 7 else 0.05, **options)
    arrays, _ = checkpoint.read(tmp_path / 'best.npz')
    assert all(np.isfinite(array).all() for array in arrays.values())


def test_weights_that_are_not_finite_are_not_saved_as_a_beginning(tmp_path):
    options = {'epochs': 3, 'batch_size': 8, 'verbose': 0, 'checkpoint_dir': tmp_path}
    small_network().train(*small_data(), **options)
    net = small_network()
    net.layers[4].weights[0, 0] = np.nan
    with pytest.raises(DivergenceError, match='before epoch 1: the weights of layer 4 .* are not saved'):
        net.train(*small_data(), **options)
    assert sorted(path.name for path in tmp_path.glob('*.npz')) == [f'model_epoch_{epoch}.npz' for epoch in (1, 2, 3)]


def test_large_but_finite_numbers_train_on():
    x, y = small_data(20)
    net = small_network(dtype='float64')
    net.train(x * 1e30, y, epochs=1, learning_rate=1e-60, verbose=0)


def test_an_error_of_the_arithmetic_kind():
    assert issubclass(DivergenceError, ArithmeticError)
    assert re.match('cnnx', DivergenceError.__module__)
