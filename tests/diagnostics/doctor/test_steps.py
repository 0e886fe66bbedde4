"""The doctor's training steps on a copy of a network."""

import copy
import math

import numpy as np
import pytest
from doctor_cases import dense, numbers, regression
from models import bits

from cnnx import Adam
from cnnx.diagnostics.doctor import steps
from cnnx.training.array_data import ArrayData


def batches(n, size=50):
    return [np.arange(first, first + size) for first in range(0, n, size)]


def trial(net, x, y, rate=0.01, count=40):
    copied, samples = copy.deepcopy(net), ArrayData(net, x, y)
    return steps.train(copied, samples, 4 * batches(len(x)), rate, count, 1.0)


def test_steps_are_those_of_training_and_the_losses_those_before_each(flat):
    net, twin = dense(), dense()
    found = trial(net, *flat, count=20)
    twin.train(*flat, epochs=1, batch_size=50, learning_rate=0.01, shuffle=False, verbose=0)
    assert bits(found.network) == bits(twin)
    assert bits(net) == bits(dense())
    assert len(found.losses) == 20
    assert found.losses[0] == pytest.approx(net.evaluate(flat[0][:50], flat[1][:50])['loss'], rel=1e-5)
    assert found.finite
    assert not found.jumped
    assert found.end == pytest.approx(found.losses[10:].mean())


def test_updates_are_measured_against_the_weights_of_their_layer(flat):
    found = trial(dense(), *flat)
    assert found.updates.keys() == {0, 2}
    assert all(0 < ratio < 0.1 for ratio in found.updates.values())
    faster = trial(dense(), *flat, rate=0.02)
    assert all(faster.updates[index] > 1.3 * ratio for index, ratio in found.updates.items())


def test_a_loss_that_is_not_finite_ends_the_steps():
    x, y = numbers()
    with np.errstate(all='ignore'):
        found = trial(regression(), x, y, rate=1e4)
    assert not found.finite
    assert found.jumped
    assert len(found.losses) < 40
    assert np.isfinite(found.losses).all()


def test_chance_is_even_odds_between_classes_and_the_variance_of_numbers(flat):
    net, (x, y) = dense(), flat
    assert steps.loss_of_chance(net, ArrayData(net, x, y), np.arange(100)) == pytest.approx(math.log(10))
    net, (x, y) = regression(), numbers()
    found = steps.loss_of_chance(net, ArrayData(net, x, y[:, np.newaxis]), np.arange(100))
    assert found == pytest.approx(y[:100].var(), rel=1e-6)


def test_steps_that_continue_others_are_those_of_one_run(flat):
    net, once = dense(), dense()
    samples = ArrayData(net, *flat)
    order = iter(4 * batches(1000))
    first = steps.train(net, samples, order, 0.01, 15, 1.0)
    both = steps.train(net, samples, order, 0.01, 15, 1.0, first)
    whole = steps.train(once, samples, 4 * batches(1000), 0.01, 30, 1.0)
    assert bits(net) == bits(once)
    np.testing.assert_array_equal(both.losses, whole.losses)
    assert both.updates.keys() == {0, 2}
    assert both.usual == whole.usual


def test_a_loss_that_falls_is_continued_and_one_that_rises_is_not():
    falling = steps.Trial(None, 2 * np.exp(-np.arange(100) / 200), True, {}, 2.0)
    assert falling.forecast(200, 2.0) == pytest.approx(falling.end * math.exp(-0.5))
    assert falling.forecast(100, 2.0) == falling.end
    rising = falling._replace(losses=falling.losses[::-1])
    assert rising.forecast(200, 2.0) == rising.end
    far = falling._replace(losses=100 / (1 + np.arange(100)))
    assert far.forecast(200, 0.5) == pytest.approx(far.end / 2)


def test_predictions_fit_their_own_targets_better_than_exchanged_ones_only_after_learning(flat):
    net, (x, y) = dense(), flat
    net.train(x[:500], y[:500], epochs=10, verbose=0)
    index, generator = np.arange(500, 1000), np.random.default_rng(0)
    assert steps.fit_beyond_chance(net, ArrayData(net, x, y), index, generator) > 10
    shuffled = generator.permutation(y)
    assert abs(steps.fit_beyond_chance(net, ArrayData(net, x, shuffled), index, generator)) < 4


def test_a_copy_for_adam_has_the_weights_and_no_state(flat):
    net = dense()
    net.train(*flat, epochs=1, verbose=0)
    copied = steps.with_adam(net)
    assert bits(copied) == bits(net)
    assert isinstance(copied.optimizer, Adam)
    assert all(not parameter.state and parameter.updates == 0 for parameter in copied.parameters.values())
    assert all(parameter.state for parameter in net.parameters.values())
