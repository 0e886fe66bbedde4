"""Losses of one's own, what is checked of them, and weights."""

import numpy as np
import pytest
from models import small_data, small_network

import cnnx
from cnnx import CategoricalCrossEntropy, Loss, MeanSquaredError


class Robust(Loss):
    """Squares of small errors, absolute values of large ones."""

    def __init__(self, delta=1.0):
        self.delta = delta

    def value_and_gradient(self, y, targets):
        error = y - targets
        small = np.abs(error) <= self.delta
        losses = np.where(small, error**2 / 2, self.delta * (np.abs(error) - self.delta / 2))
        return losses.mean(), (np.clip(error, -self.delta, self.delta) / error.size).astype(y.dtype)


class Tenfold(CategoricalCrossEntropy):
    """Ten times the cross-entropy."""

    def value_and_gradient(self, y, targets, sample_weight=None):
        found, dy = super().value_and_gradient(y, targets, sample_weight)
        return 10 * found, 10 * dy


def regression(loss, fused=True):
    net = cnnx.Network(seed=0, fused=fused)
    net.add(cnnx.Dense(3, 8))
    net.add(cnnx.Tanh())
    net.add(cnnx.Dense(output_size=1))
    net.compile(loss, cnnx.Adam())
    return net


def points(n=60):
    x = np.random.default_rng(0).normal(size=(n, 3)).astype(np.float32)
    return x, x[:, :1] - 2 * x[:, 1:2]


@pytest.mark.parametrize('fused', [True, False])
def test_a_loss_of_ones_own_trains_and_its_gradients_are_checked(fused):
    net = regression(Robust(0.5), fused)
    losses = net.train(*points(), epochs=40, learning_rate=0.02, verbose=0)['loss']
    assert losses[-1] < losses[0] / 4
    assert net.evaluate(*points())['loss'] == pytest.approx(
        Robust(0.5).value_and_gradient(net.predict(points()[0]), points()[1])[0]
    )
    assert net.check_gradients(*points(6))
    assert 'loss' in net.train_on_batch(*points(6))
    assert net.doctor(*points()) is not None


def test_a_loss_of_ones_own_is_saved_and_loaded(tmp_path):
    with pytest.warns(UserWarning, match="custom_objects={'Robust': Robust}"):
        regression(Robust(0.25)).save(tmp_path / 'net.npz')
    net = cnnx.Network.load(tmp_path / 'net.npz', custom_objects={'Robust': Robust})
    assert net.loss.delta == 0.25


@pytest.mark.parametrize('fused', [True, False])
def test_a_loss_that_subclasses_cross_entropy_is_called(fused):
    x, y = small_data()
    net, plain = (small_network(loss=loss) for loss in (Tenfold(), CategoricalCrossEntropy()))
    net.fused = plain.fused = fused
    assert net.evaluate(x, y)['loss'] == pytest.approx(10 * plain.evaluate(x, y)['loss'])
    for network, rate in ((net, 0.001), (plain, 0.01)):
        network.train(x, y, epochs=1, learning_rate=rate, verbose=0, shuffle=False)
    np.testing.assert_allclose(net.predict(x), plain.predict(x), rtol=1e-4)
    assert net.check_gradients(x[:4], y[:4])


@pytest.mark.parametrize(
    ('returned', 'error', 'message'),
    [
        (
            lambda y: None,
            TypeError,
            r'Broken.value_and_gradient: expected it to return \(mean loss, gradient\), got None',
        ),
        (lambda y: 1.0, TypeError, r'Broken.value_and_gradient: .* got 1.0'),
        (lambda y: (y, y), TypeError, 'Broken.value_and_gradient'),
        (lambda y: (1.0, y[:1]), ValueError, r'Broken.value_and_gradient: .*\(32, 1\) and float32, got \(1, 1\)'),
        (lambda y: (1.0, y.astype('f8')), ValueError, r'Broken.value_and_gradient: .* and float64'),
    ],
)
def test_what_is_wrong_with_a_loss_of_ones_own_is_named(returned, error, message):
    broken = type('Broken', (Loss,), {'value_and_gradient': lambda self, y, targets: returned(y)})
    with pytest.raises(error, match=message):
        regression(broken()).train(*points(), epochs=1, verbose=0)


def test_a_loss_without_value_and_gradient_says_what_to_define():
    with pytest.raises(
        NotImplementedError, match=r'Nothing.value_and_gradient: define value_and_gradient\(self, y, tar'
    ):
        regression(type('Nothing', (Loss,), {})()).train(*points(), epochs=1, verbose=0)


def test_weights_go_with_losses_that_take_them():
    with pytest.raises(
        ValueError, match='Robust.value_and_gradient takes no weights; give it a parameter sample_weight'
    ):
        regression(Robust()).train(*points(), sample_weight=np.ones(60), verbose=0)


@pytest.mark.parametrize('weights', [np.ones((3, 1)), 2.0, [1.0], [1.0, -1, 1], [1, np.nan, 1], ['a', 'b', 'c']])
@pytest.mark.parametrize('loss', [CategoricalCrossEntropy(from_logits=True), MeanSquaredError()])
def test_wrong_weights_are_refused(loss, weights):
    with pytest.raises(ValueError, match='sample_weight: expected'):
        loss.value_and_gradient(np.zeros((3, 2)), [0, 1, 0], weights)
