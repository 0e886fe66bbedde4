"""Whether a run says that it has learned nothing."""

import numpy as np
import pytest
from doctor_cases import network, numbers, regression
from models import small_data, small_network

from cnnx import BinaryCrossEntropy, CategoricalCrossEntropy, Dense, Network, ReLU, Sigmoid, Softmax
from cnnx.callbacks import Callback


def said(capsys):
    return [line for line in capsys.readouterr().out.splitlines() if 'nothing learned' in line]


def untrained(**options):
    """Train at a rate that changes nothing."""
    net = small_network()
    net.train(*small_data(300), epochs=2, learning_rate=1e-9, **options)


def test_one_line_that_names_the_doctor_where_nothing_is_learned(capsys):
    untrained()
    (line,) = said(capsys)
    assert 'net.doctor(x, y)' in line
    assert line.startswith('nothing learned: the loss of 256 training samples is 1.')
    small_network().train(*small_data(300), epochs=10)
    assert not said(capsys)
    untrained(verbose=0)
    assert not said(capsys)


def test_one_class_alone_is_nothing_whatever_the_loss(capsys):
    x, y = small_data(300)
    rare = np.where(np.arange(300) % 10, 0, y)
    net = small_network()
    net.train(x, rare, epochs=1, learning_rate=1e-4)
    right = (net.predict(x).argmax(axis=1) == rare).mean()
    assert bool(said(capsys)) == (right <= (rare == 0).mean())
    net = small_network()
    net.layers[-2].weights[:] = 0
    net.layers[-2].bias[:] = 5, 0, 0
    net.train(x, rare, epochs=1, learning_rate=1e-9)
    assert len(said(capsys)) == 1


def test_numbers_are_compared_with_their_mean(capsys):
    x, y = numbers()
    regression().train(x, y, epochs=1, learning_rate=1e-9)
    assert len(said(capsys)) == 1
    regression().train(x, y, epochs=10)
    assert not said(capsys)
    regression().train(x, np.ones(len(x)), epochs=1, learning_rate=1e-9)  # a constant is what there is to learn
    assert not said(capsys)


def test_penalties_do_not_count(capsys):
    x, y = small_data(300)
    net = network(Dense(36, 64, l2=0.02), ReLU(), Dense(output_size=3), Softmax())
    history = net.train(x.reshape(300, -1), y, epochs=10)
    assert history['loss'][-1] > np.log(3)  # with the penalties
    assert history['accuracy'][-1] > 0.9
    assert not said(capsys)


def test_smoothed_labels_are_compared_with_a_constant_for_smoothed_labels(capsys):
    x, _ = small_data(300)
    rare = (np.arange(300) % 20 == 0).astype(int)
    x[rare == 1] += 3
    net = network(Dense(36, 2), Softmax(), loss=CategoricalCrossEntropy(label_smoothing=0.3))
    history = net.train(x.reshape(300, -1), rare, epochs=20)
    assert history['loss'][-1] > 0.2  # more than the entropy of the labels as they are
    assert history['accuracy'][-1] > 0.95
    assert not said(capsys)


def test_a_run_that_is_interrupted_says_nothing(capsys):
    class Stop(Callback):
        def on_batch_end(self, batch, metrics):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        untrained(callbacks=[Stop()])
    assert not said(capsys)


@pytest.mark.parametrize(
    ('loss', 'last'), [('mae', []), ('huber', []), ('mse', []), ('bce', [Sigmoid]), (BinaryCrossEntropy(True), [])]
)
def test_losses_of_numbers(capsys, loss, last):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 4))
    y = (x[:, :2] > 0).astype(float)
    for rate in (1e-9, 0.3):
        net = Network([Dense(4, 2), *(kind() for kind in last)], seed=0)
        net.compile(loss)
        net.train(x, y, epochs=5, learning_rate=rate)
        assert bool(said(capsys)) == (rate < 0.1)
