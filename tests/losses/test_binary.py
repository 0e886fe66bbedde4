"""Binary cross-entropy: of probabilities, of logits, and after Sigmoid."""

import numpy as np
import pytest
from loss_cases import gradient, value

import cnnx
from cnnx import BinaryCrossEntropy, Dense, Sigmoid


def net_with(*layers, loss=None, **settings):
    net = cnnx.Network([Dense(4, 6), cnnx.ReLU(), Dense(output_size=3), *layers], seed=0, **settings)
    net.compile(loss or BinaryCrossEntropy(), cnnx.SGD(momentum=0.9))
    return net


def labels_data(n=30, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 4))
    return x, (x[:, :3] > 0.2).astype(int)


def test_it_is_minus_the_log_of_what_the_target_has():
    y, targets = np.array([[0.9, 0.2], [0.4, 0.5]]), [[1, 0], [1, 0.25]]
    expected = -np.array([np.log(0.9), np.log(0.8), np.log(0.4), 0.25 * np.log(0.5) + 0.75 * np.log(0.5)]).mean()
    assert value(BinaryCrossEntropy(), y, targets) == pytest.approx(expected)
    logits = np.log(y / (1 - y))
    assert value(BinaryCrossEntropy(from_logits=True), logits, targets) == pytest.approx(expected)


@pytest.mark.usefixtures('each_backend')
@pytest.mark.parametrize('dtype', [np.float32, np.float64])
def test_after_sigmoid_it_is_exact_where_probabilities_round_to_0_or_1(dtype):
    sigmoid, loss = Sigmoid(), BinaryCrossEntropy()
    y = sigmoid.forward(np.array([[1e4, -1e4], [-1e4, 1e4]], dtype))
    found, dy = loss.value_and_gradient(y, [[0, 1], [0, 1]])
    assert found == 5000
    assert np.isfinite(dy).all()
    assert sigmoid.backward(dy).tolist() == [[0.25, -0.25], [0, 0]]
    # From elsewhere, 0 counts as the smallest number: a large loss, and finite.
    found, dy = loss.value_and_gradient(y.copy(), [[0, 1], [0, 1]])
    assert found == pytest.approx(-np.log(np.finfo(dtype).tiny) / 2)
    assert np.isfinite(dy).all()


@pytest.mark.usefixtures('each_backend')
@pytest.mark.parametrize('weighted', [False, True])
def test_logits_and_sigmoid_are_the_same(weighted):
    rng = np.random.default_rng(0)
    x, targets = 3 * rng.normal(size=(5, 2, 3)), rng.random((5, 2, 3))
    weights = (rng.random((5, 2)),) if weighted else ()
    sigmoid = Sigmoid()
    y = sigmoid.forward(x)
    of_logits = BinaryCrossEntropy(from_logits=True).value_and_gradient(x, targets, *weights)
    found, dy = BinaryCrossEntropy().value_and_gradient(y, targets, *weights)
    assert found == of_logits[0]
    np.testing.assert_array_equal(sigmoid.backward(dy), of_logits[1])
    found, dy = BinaryCrossEntropy().value_and_gradient(y.copy(), targets, *weights)
    assert found == pytest.approx(of_logits[0])
    np.testing.assert_allclose(sigmoid.backward(dy), of_logits[1], rtol=1e-9)


@pytest.mark.usefixtures('each_backend')
@pytest.mark.parametrize('fused', [False, True])
def test_networks_learn_from_the_worst_mistakes(fused):
    net, (x, targets) = net_with(Sigmoid(), fused=fused), labels_data()
    net.layers[2].parameters[0].value *= 2000
    assert ((net.predict(x) == 0) | (net.predict(x) == 1)).any()
    logits = net_with(loss=BinaryCrossEntropy(from_logits=True), fused=fused)
    logits.layers[2].parameters[0].value *= 2000
    assert net.evaluate(x, targets) == pytest.approx(logits.evaluate(x, targets), rel=1e-6)
    assert net.evaluate(x, targets)['loss'] > 100
    for one in (net, logits):
        one.train(x, targets, epochs=2, learning_rate=1e-3, shuffle=False, verbose=0)
    np.testing.assert_allclose(net.predict(x), Sigmoid().forward(logits.predict(x)), rtol=1e-4, atol=1e-6)
    # By hand, too.
    y = net.forward(x, training=True)
    dy = gradient(net.loss, y, targets)
    logits.load_weights(saved(net))
    net.backward(dy)
    logits.backward(gradient(logits.loss, logits.forward(x, training=True), targets))
    np.testing.assert_allclose(net.layers[0].parameters[0].grad, logits.layers[0].parameters[0].grad, rtol=1e-4)


@pytest.fixture(autouse=True)
def folder(tmp_path):
    saved.path = tmp_path / 'weights.npz'


def saved(net):
    net.save_weights(saved.path)
    return saved.path


def test_accuracy_is_that_of_each_label():
    (x, targets), net = labels_data(), net_with(Sigmoid())
    expected = ((net.predict(x) > 0.5) == targets).mean()
    assert net.evaluate(x, targets)['accuracy'] == expected
    assert net.evaluate([(x[:7], targets[:7]), (x[7:], targets[7:])])['accuracy'] == pytest.approx(expected)
    history = net.train(x, targets, epochs=60, learning_rate=0.1, verbose=0)
    assert history['accuracy'][-1] > 0.9
    logits = net_with(loss=BinaryCrossEntropy(from_logits=True))
    assert logits.evaluate(x, targets)['accuracy'] == ((logits.predict(x) > 0) == targets).mean()


@pytest.mark.parametrize('from_logits', [False, True])
def test_the_class_of_a_single_output_is_1_from_a_half_on(from_logits):
    x, targets = labels_data()
    layers = [Dense(4, 1), *([] if from_logits else [Sigmoid()])]
    net = cnnx.Network(layers, seed=0)
    net.compile(BinaryCrossEntropy(from_logits))
    expected = net.predict(x)[:, 0] > (0 if from_logits else 0.5)
    assert (net.predict_classes(x) == expected).all()
    assert 0 < expected.sum() < len(x)
    found = net.evaluate(x, targets[:, 0], metrics=['confusion_matrix', 'binary_accuracy'])
    right = (expected == targets[:, 0]).mean()
    assert found['accuracy'] == found['binary_accuracy'] == np.trace(found['confusion_matrix']) / len(x) == right


def test_targets_of_a_single_output_need_no_axis_of_their_own():
    rng = np.random.default_rng(0)
    for shape in ((4,), (4, 3, 2)):
        y, targets = rng.random((*shape, 1)), rng.integers(0, 2, shape)
        assert value(BinaryCrossEntropy(), y, targets) == value(BinaryCrossEntropy(), y, targets[..., np.newaxis])


@pytest.mark.parametrize('wrong', [-0.1, 2, np.nan])
def test_targets_that_are_no_probabilities_are_named(wrong):
    targets = np.zeros((4, 2, 3))
    targets[2, 1, 2] = wrong
    with pytest.raises(ValueError, match=rf'targets: expected numbers from 0 to 1, got {wrong:.1f} at .*\(2, 1, 2\)'):
        value(BinaryCrossEntropy(), np.full((4, 2, 3), 0.5), targets)


def test_predictions_that_are_no_probabilities_are_refused():
    with pytest.raises(ValueError, match='expected probabilities from 0 to 1; for logits, use from_logits=True'):
        value(BinaryCrossEntropy(), np.array([[3.0]]), [1])
