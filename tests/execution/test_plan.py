"""The plain path: the layers of a network one by one."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from models import small_data, small_network

import cnnx
from cnnx import Network
from cnnx.models import lenet5


@pytest.mark.parametrize('fused', [True, False])
def test_a_plan_computes_what_the_layers_compute_alone(fused):
    net, (x, _) = small_network(), small_data(5)
    net.fused = fused
    expected = x
    for layer in small_network().layers:
        expected = layer.forward(expected)
    assert net.predict(x).tobytes() == expected.tobytes()


def test_the_plain_path_trains_and_evaluates_as_the_fused_one_within_rounding():
    rng = np.random.default_rng(0)
    x, y = rng.random((64, 28, 28, 1), np.float32), rng.integers(0, 10, 64)
    nets = lenet5(0), lenet5(0, fused=False)
    histories = [net.train(x, y, epochs=2, learning_rate=0.01, verbose=0).history for net in nets]
    np.testing.assert_allclose(histories[0]['loss'], histories[1]['loss'], rtol=1e-5)
    results = [net.evaluate(x, y)['loss'] for net in nets]
    assert results[0] == pytest.approx(results[1], rel=1e-5)


def test_a_step_of_the_plain_path_lends_its_arrays_again():
    net, (x, y) = small_network(), small_data(32)
    net.fused = False
    convolution, lent = net.layers[0], set()
    forward = convolution.forward

    def noting(x, training=False):
        y = forward(x, training)
        lent.add(y.ctypes.data)
        return y

    convolution.forward = noting
    net.train(x, y, epochs=3, batch_size=16, verbose=0)
    assert len(lent) == 1


def test_layers_that_are_used_alone_return_arrays_of_their_own():
    net, (x, y) = small_network(), small_data(16)
    net.fused = False
    net.train(x, y, epochs=1, verbose=0)
    first = net.layers[0].forward(x)
    kept = first.copy()
    net.layers[0].forward(x + 1)
    net.train(x, y, epochs=1, verbose=0)
    np.testing.assert_array_equal(first, kept)


def test_penalties_count_in_the_loss_and_in_the_gradients():
    x, y = small_data(16)
    nets = [small_network() for _ in range(2)]
    for net, fused in zip(nets, (True, False), strict=True):
        net.fused = fused
        net.layers[0].l2 = 0.1
        net.train(x, y, epochs=1, verbose=0)
    penalty = 0.1 * (nets[0].layers[0].weights ** 2).sum()
    without = cnnx.CategoricalCrossEntropy().value_and_gradient(nets[0].predict(x), y)[0]
    assert nets[0].evaluate(x, y)['loss'] == pytest.approx(without + penalty, rel=1e-5)
    for name, parameter in nets[0].parameters.items():
        np.testing.assert_allclose(parameter.value, nets[1].parameters[name].value, rtol=1e-4, atol=1e-6)


def test_a_plan_is_made_once_however_many_threads_ask():
    for _ in range(20):
        net = small_network()
        with ThreadPoolExecutor(8) as pool:
            plans = list(pool.map(lambda _, net=net: net.plan, range(16)))
        assert len(set(map(id, plans))) == 1


def test_fused_is_saved_and_can_be_changed_when_loading(tmp_path, monkeypatch):
    x, _ = small_data(8)
    net = small_network()
    net.fused = False
    net.save(tmp_path / 'net.npz')
    assert not Network.load(tmp_path / 'net.npz').fused
    loaded = Network.load(tmp_path / 'net.npz', fused=True)
    assert loaded.fused
    monkeypatch.setenv('CNNX_FUSED', '0')
    np.testing.assert_array_equal(loaded.predict(x), net.predict(x))
    with pytest.raises(ValueError, match='fused: expected True or False'):
        Network(fused='no')


def test_a_resume_with_another_path_says_so(tmp_path, capsys):
    x, y = small_data(20)
    options = {'checkpoint_dir': tmp_path, 'resume_from_checkpoint': True}
    small_network().train(x, y, epochs=1, **options)
    net = small_network()
    net.fused = False
    net.train(x, y, epochs=2, **options)
    assert 'fused was True up to here and is False from here on' in capsys.readouterr().out
