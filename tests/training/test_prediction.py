"""Prediction: outputs and classes."""

import numpy as np
import pytest
from models import lenet5, small_data, small_network

import cnnx


def test_predictions_do_not_depend_on_the_batch_size():
    net, (x, _) = lenet5(), small_data(1)
    x = np.random.default_rng(0).random((70, 28, 28, 1), np.float32)
    whole = net.predict(x, batch_size=70)
    for batch_size in (1, 3, 32, 256):
        np.testing.assert_allclose(net.predict(x, batch_size), whole, rtol=1e-5, atol=1e-7)
    assert whole.shape == (70, 10)
    np.testing.assert_allclose(whole.sum(axis=1), 1, rtol=1e-5)


def test_predictions_are_the_callers_to_keep():
    net, (x, _) = small_network(), small_data(4)
    first = net.predict(x)
    kept = first.copy()
    net.predict(x + 1)
    assert (first == kept).all()


def test_classes():
    net, (x, y) = small_network(), small_data()
    net.train(x, y, epochs=20, learning_rate=0.1, verbose=0)
    classes = net.predict_classes(x)
    assert classes.shape == (50,)
    assert classes.dtype.kind == 'i'
    assert (classes == y).mean() == net.evaluate(x, y)['accuracy'] == 1


def test_an_iterable_of_batches_gives_what_the_array_gives():
    net, (x, y) = small_network(), small_data(10)
    expected = net.predict(x)
    halves = [(x[:5], y[:5]), (x[5:], y[5:])]
    for batches in (iter(halves), (batch for batch, _ in halves)):
        np.testing.assert_array_equal(net.predict(batches), expected)
    np.testing.assert_array_equal(net.predict(x.tolist()), expected)
    assert net.predict(iter([])).shape == (0, 3)


def test_what_gives_no_samples_is_refused():
    net, (x, _) = small_network(), small_data(4)
    with pytest.raises(ValueError, match='batch 2: x: expected numbers|batch 2'):
        net.predict(iter([x, x[0]]))
    with pytest.raises(ValueError, match='got a function; call it'):
        net.predict(lambda: x)


@pytest.mark.parametrize('outputs', [1, 2])
def test_classes_of_each_position(outputs):
    net = cnnx.Network(seed=0)
    net.add(cnnx.Convolutional(outputs, 3, input_shape=(6, 6, 1)))
    x = np.random.default_rng(0).normal(size=(2, 6, 6, 1))
    classes, y = net.predict_classes(x), net.predict(x)
    assert classes.shape == (2, 4, 4)
    expected = y[..., 0] > 0.5 if outputs == 1 else y[..., 1] > y[..., 0]
    assert (classes == expected).all()
    assert 0 < classes.sum() < classes.size


def test_a_single_output_is_class_1_from_over_a_half():
    net = cnnx.Network(seed=0)
    net.add(cnnx.Dense(1, 1))
    net.layers[0].weights = [[1]]
    assert net.predict_classes([[0.4], [0.5], [0.6]]).tolist() == [0, 0, 1]
