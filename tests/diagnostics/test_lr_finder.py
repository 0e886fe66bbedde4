"""Learning-rate range test."""

import os
import re
import signal
import sys

import numpy as np
import pytest
from models import bits, lenet5, small_data, small_network

from cnnx import SGD, CategoricalCrossEntropy, Dense, Network, Softmax
from cnnx.data import preprocess_mnist_data
from cnnx.diagnostics import lr_finder as rate_finder


def everything(net):
    """Return all that must be the same after a test of rates."""
    return (
        bits(net),
        {name: (p.trainable, {k: v.tobytes() for k, v in p.state.items()}) for name, p in net.parameters.items()},
        net.generator.bit_generator.state,
    )


def find(net, n=60, **options):
    return net.find_learning_rate(*small_data(n), **({'batch_size': 8} | options))


@pytest.fixture(scope='module')
def digits():
    (x, y), _ = preprocess_mnist_data()
    return x[:1000], y[:1000]


@pytest.mark.parametrize('momentum', [0, 0.9])
@pytest.mark.parametrize('seed', [0, 1])
def test_lenet5_learns_at_the_rate_that_is_suggested(digits, momentum, seed):
    net = lenet5(seed, momentum=momentum)
    found = net.find_learning_rate(*digits)
    assert (0.01 if momentum == 0 else 0.002) < found.suggestion < (0.1 if momentum == 0 else 0.02)
    history = net.train(*digits, epochs=3, learning_rate=found.suggestion, verbose=0)
    assert history['accuracy'][-1] > 0.5


def test_rates_rise_exponentially_and_losses_are_smoothed(monkeypatch):
    rate = 1e-12  # too small to change a loss
    raw, loss = [], rate_finder._loss
    monkeypatch.setattr(rate_finder, '_loss', lambda *arguments: raw.append(loss(*arguments)) or raw[-1])
    found = find(small_network(), lowest=rate, highest=1e-9, steps=61)
    np.testing.assert_allclose(found.rates, rate * 10 ** (np.arange(61) / 20))
    losses = np.array(raw[10:])  # the first ten are of no step
    assert raw[:10] == raw[10:20]
    weights = [0.9 ** np.arange(k, -1, -1) for k in range(61)]
    np.testing.assert_allclose(
        found.losses, [np.average(losses[: k + 1], weights=weights[k]) for k in range(61)], rtol=1e-6
    )


def test_the_suggestion_is_a_tenth_of_the_rate_with_the_lowest_loss():
    rates, before = np.geomspace(1e-6, 1, 61), np.array([2.0, 2.2] * 5)
    losses = np.concatenate([np.full(40, 2.1), np.linspace(2.1, 1, 11), np.linspace(1.1, 3, 10)])
    suggestion, message = rate_finder._suggestion(rates, losses, before)
    assert suggestion == pytest.approx(rates[50] / 10)
    assert message == 'the loss fell from 2.1 to 1, its lowest, at 0.1; a tenth of that rate is suggested'


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'highest': 1e-5}, 'the loss never fell from .* by more than it differs from batch to batch'),
        ({'highest': 0.05}, 'the loss fell from .*, and was still falling at 0.05; try a larger highest'),
        ({'lowest': 1}, 'the loss changes at the lowest rates already; try a lowest of less than 1'),
        ({'lowest': 1e5, 'highest': 1e30}, 'the loss changes at the lowest rates already'),
    ],
)
def test_where_there_is_nothing_to_suggest_it_says_so(options, message):
    found = find(small_network(), **options)
    assert found.suggestion is None
    assert re.match(message, found.message)
    assert repr(found) == f'RangeTest(no suggestion: {found.message})'


def test_a_network_that_has_learned_its_data_has_nothing_to_suggest(digits):
    net = lenet5(0)
    net.train(*digits, epochs=12, verbose=0)
    assert net.find_learning_rate(*digits).message.startswith('the loss never fell')


def test_data_that_are_not_finite_are_reported():
    x, y = small_data(60)
    x[:] = np.nan
    found = small_network().find_learning_rate(x, y, batch_size=8)
    assert found.suggestion is None
    assert 'the loss is not finite before the first step' in found.message
    assert len(found.losses) == len(found.rates) == 0


def test_it_stops_where_the_loss_is_too_high_or_not_finite():
    found = find(small_network(), highest=1e6)
    assert 10 < len(found.losses) == len(found.rates) < 100
    assert np.isfinite(found.losses).all()
    assert found.losses[10:].max() <= 4 * found.losses[10:].min()
    assert found.suggestion is not None


def test_orders_are_new_each_time_through_the_data_and_batches_are_whole(monkeypatch):
    indices, net = [], small_network()
    learn = net.plan.forward_and_backward
    monkeypatch.setattr(
        net.plan, 'forward_and_backward', lambda samples, index: indices.append(index) or learn(samples, index)
    )
    find(net, n=30, highest=1e-5, steps=50)
    assert {len(index) for index in indices} == {8}
    epochs = [np.concatenate(indices[10:][3 * k : 3 * k + 3]) for k in range(16)]
    assert all(len(set(epoch)) == 24 for epoch in epochs)
    assert len({epoch.tobytes() for epoch in epochs}) == 16


def test_layers_that_draw_numbers_draw_the_same_before_the_steps_and_at_the_lowest_rates():
    net, drawn = small_network(), []
    learn = net.plan.forward_and_backward

    def learn_with_noise(*arguments):
        loss, *others = learn(*arguments)
        drawn.append(net.generator.random())
        return loss + drawn[-1], *others

    net.plan.forward_and_backward = learn_with_noise
    before = everything(net)
    find(net, n=20)
    assert drawn[:10] == drawn[10:20]
    assert len(set(drawn)) == len(drawn) - 10
    assert everything(net) == before


@pytest.mark.parametrize('trained', [False, True])
def test_the_network_stays_as_it_is(trained):
    net, twin = small_network(), small_network()
    x, y = small_data()
    if trained:
        for network in (net, twin):
            network.train(x, y, epochs=2, verbose=0)
    before, layers = everything(net), net.plan
    states = [parameter.state for parameter in net.parameters.values()]
    values = [parameter.value for parameter in net.parameters.values()]
    find(net)
    assert everything(net) == before
    assert net.plan is layers
    assert all(p.state is s and p.value is v for p, s, v in zip(net.parameters.values(), states, values, strict=True))
    for network in (net, twin):
        network.train(x, y, epochs=2, verbose=0)
    assert everything(net) == everything(twin)


def test_what_does_not_train_and_what_optimizers_keep_elsewhere_is_put_back():
    net = small_network()
    statistic = net.layers[0].parameters[1]
    statistic.trainable, statistic.steps = False, np.array([7])
    before, learn = everything(net), net.plan.forward_and_backward

    def learn_and_count(*arguments):
        statistic.value[...] += 1
        statistic.steps += 1
        statistic.other = 'new'
        return learn(*arguments)

    net.plan.forward_and_backward = learn_and_count
    find(net)
    assert everything(net) == before
    assert statistic.steps.tolist() == [7]
    assert not hasattr(statistic, 'other')


@pytest.mark.parametrize('call', [1, 5, 10, 11, 40])
def test_an_error_in_the_middle_leaves_the_network_as_it_is(call):
    net = small_network()
    net.train(*small_data(), epochs=1, verbose=0)
    before, learn, calls = everything(net), net.plan.forward_and_backward, iter(range(call))

    def fail(*arguments):
        if next(calls, None) is None:
            raise MemoryError
        return learn(*arguments)

    net.plan.forward_and_backward = fail
    with pytest.raises(MemoryError):
        find(net)
    assert everything(net) == before


@pytest.mark.skipif(os.name != 'posix', reason='sends POSIX signals')
@pytest.mark.usefixtures('default_handlers')
@pytest.mark.parametrize('call', [1, 12, 40])
@pytest.mark.parametrize(('number', 'error'), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
def test_ctrl_c_ends_it_between_two_batches_and_leaves_the_network_as_it_is(call, number, error):
    net, calls = small_network(), []
    before, learn = everything(net), net.plan.forward_and_backward

    def interrupted(*arguments):
        calls.append(None)
        if len(calls) == call:
            signal.raise_signal(number)
        return learn(*arguments)

    net.plan.forward_and_backward = interrupted
    with pytest.raises(error):
        find(net)
    assert len(calls) == call
    assert everything(net) == before


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'lowest': 0}, 'lowest, highest: expected 0 < lowest < highest, got 0 and 10'),
        ({'lowest': 1, 'highest': 1}, 'lowest, highest: expected'),
        ({'lowest': -1}, 'lowest: expected a finite number of at least 0'),
        ({'highest': float('inf')}, 'highest: expected a finite number'),
        ({'steps': 49}, 'steps: expected at least 50, got 49'),
        ({'steps': 0.5}, 'steps: expected a whole number'),
        ({'batch_size': 0}, 'batch_size: expected a whole number'),
        ({'batch_size': 61}, 'batch_size: expected at most 60, the number of samples, got 61'),
        ({'n': 0}, 'expected at least one sample'),
    ],
)
def test_wrong_arguments_are_refused(options, message):
    net = small_network()
    before = everything(net)
    with pytest.raises(ValueError, match=message):
        find(net, **options)
    assert everything(net) == before


def test_it_needs_a_loss():
    with pytest.raises(RuntimeError, match='find_learning_rate needs a loss'):
        find(Network())


def test_float64_and_a_network_without_blocks():
    net = Network(seed=0, dtype='float64')
    net.add(Dense(3, 2, kernel_initializer='zeros'))
    net.add(Softmax())
    net.compile(CategoricalCrossEntropy(), SGD())
    x = np.random.default_rng(0).normal(size=(64, 3))
    before = everything(net)
    found = net.find_learning_rate(x, (x[:, 0] > 0).astype(int), batch_size=64, highest=1e4)
    assert 0.1 < found.suggestion < 1000
    assert everything(net) == before


def test_the_curve_is_drawn(tmp_path):
    pytest.importorskip('matplotlib')
    for options in ({}, {'highest': 1e-5}):
        find(small_network(), **options).plot(tmp_path / 'curve.svg')
        assert 'learning rate' in (tmp_path / 'curve.svg').read_text()


def test_without_a_path_the_curve_is_returned():
    pytest.importorskip('matplotlib')
    assert find(small_network()).plot().axes[0].get_xlabel() == 'learning rate'


def test_drawing_needs_matplotlib(monkeypatch, tmp_path):
    found = find(small_network())
    monkeypatch.setitem(sys.modules, 'matplotlib.figure', None)
    with pytest.raises(ImportError, match='plot needs matplotlib: pip install'):
        found.plot(tmp_path / 'curve.png')
