"""What holds for all losses: gradients, weights, both paths, files, runs that are stopped and resumed."""

import copy
import math

import numpy as np
import pytest
from loss_cases import CASES, data, gradient, network, numeric_gradient, predictions, targets, value
from models import bits, cut

import cnnx
from cnnx.losses import LOSSES

every_case = pytest.mark.parametrize('name', CASES)
EPOCHS = 2


def shapes(name):
    outputs = network(name).layers[-1].shape
    return (3, *outputs), (1, *outputs)


def train(net, x, y, **options):
    return net.train(x, y, **({'epochs': EPOCHS, 'batch_size': 6, 'learning_rate': 0.05, 'verbose': 0} | options))


def test_every_kind_has_a_case():
    assert {type(case.loss()).__name__ for case in CASES.values()} == LOSSES.keys()
    assert {cnnx.Loss.__name__, *LOSSES} <= set(cnnx.__all__)


@every_case
@pytest.mark.parametrize('seed', range(3))
def test_gradients_are_those_of_differences(name, seed):
    loss, kind = CASES[name].loss(), CASES[name].predictions
    for shape in shapes(name):
        y, t = predictions(shape, kind, seed), targets(name, shape, seed + 5)
        np.testing.assert_allclose(gradient(loss, y, t), numeric_gradient(loss, y, t), rtol=1e-4, atol=1e-6)
        for weights in (np.linspace(0, 2, len(y)), predictions(shape[:-1], 'probabilities')):
            expected = numeric_gradient(loss, y, t, weights)
            np.testing.assert_allclose(gradient(loss, y, t, weights), expected, rtol=1e-4, atol=1e-6)


@every_case
def test_a_weight_multiplies_the_loss_of_what_it_belongs_to(name):
    loss, (shape, _) = CASES[name].loss(), shapes(name)
    y, t = predictions(shape, CASES[name].predictions), targets(name, shape)
    assert value(loss, y, t, np.full(3, 2.0)) == pytest.approx(2 * value(loss, y, t))

    def total(*which):
        """The sum of the losses of some samples, and how many there are."""
        which = list(which)
        count = loss.count_targets(loss.prepare(t[which], shape[1:], y.dtype))
        return value(loss, y[which], t[which]) * count, count

    weights = np.array([0.5, 0.0, 3.0])
    expected = sum(weight * total(i)[0] for i, weight in enumerate(weights)) / total(0, 1, 2)[1]
    assert value(loss, y, t, weights) == pytest.approx(expected)
    spread = np.broadcast_to(weights.reshape(3, *[1] * (len(shape) - 2)), shape[:-1])
    assert value(loss, y, t, spread) == pytest.approx(expected)


@every_case
def test_prepared_targets_are_prepared_to_the_same(name):
    loss, (shape, _) = CASES[name].loss(), shapes(name)
    once = loss.prepare(targets(name, shape), shape[1:], np.dtype('float64'))
    np.testing.assert_array_equal(loss.prepare(once, shape[1:], np.dtype('float64')), once)


@every_case
def test_targets_of_another_shape_are_refused(name):
    loss, (shape, _) = CASES[name].loss(), shapes(name)
    y, t = predictions(shape, CASES[name].predictions), targets(name, shape)
    with pytest.raises(ValueError, match=r'targets: expected .*, got an array of shape|targets: expected shape'):
        value(loss, y, np.stack([t, t], axis=-1)[..., np.newaxis])
    with pytest.raises(ValueError, match='targets: expected 3, one a prediction, got 2'):
        value(loss, y, t[:2])
    with pytest.raises(ValueError, match='N at least 1'):
        value(loss, y[:0], t[:0])


@every_case
@pytest.mark.usefixtures('each_backend')
@pytest.mark.parametrize('weights', ['none', 'samples', 'positions'])
def test_both_paths_agree(name, weights):
    x, y = data(name)
    found = []
    for fused in (False, True):
        net = network(name, dtype='float64', fused=fused)
        given = {
            'none': None,
            'samples': np.linspace(0, 2, len(x)),
            'positions': np.random.default_rng(0).random((len(x), *net.layers[-1].shape[:-1])),
        }[weights]
        history = train(net, x, y, shuffle=False, sample_weight=given).history
        found.append((net.evaluate(x, y, batch_size=7), history, net.predict(x)))
    for plain, fast in zip(found[0][:2], found[1][:2], strict=True):
        assert plain.keys() == fast.keys()
        for key in plain:
            np.testing.assert_allclose(fast[key], plain[key], rtol=1e-9)
    np.testing.assert_allclose(found[1][2], found[0][2], rtol=1e-9, atol=1e-12)


@every_case
def test_training_lowers_the_loss_and_metrics_do_not_depend_on_how_samples_are_cut(name):
    (x, y), net = data(name), network(name, dtype='float64')
    before = net.evaluate(x, y)
    assert before['loss'] == pytest.approx(net.loss.value_and_gradient(net.predict(x), y)[0])
    for size in (1, 3, 20):
        assert net.evaluate(x, y, batch_size=size) == pytest.approx(before)
    batches = net.evaluate(cut(x, y, size=7))
    assert batches == pytest.approx({key: before[key] for key in batches})
    train(net, x, y, epochs=30)
    assert net.evaluate(x, y)['loss'] < before['loss']


@every_case
def test_the_tools_take_it(name):
    (x, y), net = data(name, 60), network(name)
    assert net.check_gradients(x[:3], y[:3])
    assert repr(net.doctor(x, y))
    assert net.find_learning_rate(x, y, batch_size=10).losses.size
    assert 'loss' in net.train_on_batch(x[:6], y[:6])
    net.summary()
    assert net.predict_classes(x).shape[0] == len(x)


@every_case
def test_it_is_saved_with_its_settings(name, tmp_path):
    net = network(name)
    net.save(tmp_path / 'net.npz')
    loaded = cnnx.Network.load(tmp_path / 'net.npz')
    assert repr(loaded.loss) == repr(net.loss)
    assert loaded.loss.settings() == net.loss.settings()


@every_case
@pytest.mark.parametrize('batch', [3, *(pytest.param(batch, marks=pytest.mark.slow) for batch in (1, 2, 4, 5))])
def test_a_run_that_is_stopped_at_a_batch_goes_on_with_the_same_bits(name, tmp_path, batch):
    (x, y), whole = data(name, 18), network(name)
    options = {'validation_data': data(name, 9, seed=1)}
    expected = train(whole, x, y, **options).history
    stopped, calls = network(name), []
    learn = stopped.plan.forward_and_backward
    stopped.plan.forward_and_backward = lambda *arguments: (
        calls.append(1) or (learn(*arguments) if len(calls) <= batch else 1 / 0)
    )
    options |= {'checkpoint_dir': tmp_path, 'checkpoint_every': 1}
    with pytest.raises(ZeroDivisionError):
        train(stopped, x, y, **options)
    resumed = network(name, seed=9)
    assert train(resumed, x, y, resume_from_checkpoint=True, **options).history == expected
    assert bits(resumed) == bits(whole)


@every_case
def test_an_epoch_is_finite_in_float32_where_outputs_are_large(name):
    net, (x, y) = network(name), data(name)
    for parameter in net.parameters.values():
        parameter.value = 40 * parameter.value
    plain = copy.deepcopy(net)
    plain.fused = False
    for one in (net, plain):
        assert math.isfinite(one.evaluate(x, y)['loss'])
        assert math.isfinite(train(one, x, y, epochs=1, learning_rate=1e-6)['loss'][0])
