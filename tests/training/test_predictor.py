import os
import pickle
import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from fused_networks import ALL_KINDS, data, network
from graph_networks import SHAPE, random_graph, residual
from hostile import each_backend, needs_compiled_kernels
from models import lenet5, network_with_training_modes, small_data, small_network

import cnnx
from cnnx import BatchNormalization, Dropout, Network

TOLERANCE = {'float32': 1e-5, 'float64': 1e-12}


def assert_predicts_the_same(net, x):
    predictor, tolerance = net.predictor(), TOLERANCE[net.dtype.name]
    outputs = net.predict(x)
    np.testing.assert_allclose(predictor(x), outputs, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(predictor(x[0]), outputs[0], rtol=tolerance, atol=tolerance)


@each_backend
@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@pytest.mark.parametrize('name', ALL_KINDS)
def test_chains_predict_what_the_network_does(name, dtype, backend):
    net = network(name, dtype)
    x, y = data(net, 9)
    net.train(x, y, epochs=1, batch_size=3, learning_rate=0.01, verbose=0)
    with cnnx.use_backend(backend):
        assert_predicts_the_same(net, x)
        net.fused = False
        assert_predicts_the_same(net, x)


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@pytest.mark.parametrize('seed', range(6))
def test_graphs_predict_what_the_network_does(seed, dtype):
    x = np.random.default_rng(0).normal(size=(5, *SHAPE)).astype(dtype)
    for net in (random_graph(seed, dtype=dtype, fused=seed % 2 == 0), residual(seed, dtype, fused=seed % 2 == 1)):
        net.train(x, np.arange(5) % 3, epochs=1, learning_rate=0.01, verbose=0)
        assert_predicts_the_same(net, x)


@pytest.mark.parametrize('samples', [0, 1, 3, 8, 9, 21])
def test_any_number_of_samples(samples):
    net = small_network()
    x = np.random.default_rng(0).random((samples, 6, 6, 1), np.float32)
    outputs = net.predictor(batch_size=8)(x)
    assert outputs.shape == (samples, 3)
    np.testing.assert_array_equal(outputs, net.predict(x, batch_size=8))
    with pytest.raises(ValueError, match='batch_size: expected a whole number of at least 1, got 0'):
        net.predictor(batch_size=0)


def test_the_outputs_are_the_callers_own():
    predictor, (x, _) = small_network().predictor(), small_data(4)
    first = predictor(x)
    before = first.copy()
    predictor(x[::-1])
    np.testing.assert_array_equal(first, before)
    first[...] = 0
    np.testing.assert_array_equal(predictor(x), before)


def test_arrays_need_not_be_contiguous():
    predictor, (x, _) = small_network().predictor(), small_data(8)
    np.testing.assert_array_equal(predictor(x[::2]), predictor(x[::2].copy()))
    np.testing.assert_array_equal(predictor(np.asfortranarray(x)), predictor(x))
    shifted = np.empty(x.nbytes + 1, np.uint8)[1:].view(np.float32).reshape(x.shape)  # not aligned
    shifted[...] = x
    np.testing.assert_array_equal(predictor(shifted), predictor(x))


def test_later_changes_of_the_network_do_not_reach_it():
    net, (x, y) = network_with_training_modes(), small_data(30)
    predictor = net.predictor()
    before = predictor(x)
    net.train(x, y, epochs=1, verbose=0)
    net.pop()
    net.layers[0].weights[...] = 0
    np.testing.assert_array_equal(predictor(x), before)
    assert not np.allclose(net.predict(x), before)


def test_a_layer_of_the_users_own_runs_in_it():
    class Scale(cnnx.Layer):
        def build(self, input_shape):
            self.factor = self.add_parameter('factor', (1,), lambda rng, shape, dtype: np.full(shape, 3, dtype))

        def forward(self, x, training=False):
            self._saved = (x,)
            return x * self.factor.value

    net = small_network()
    net.pop()
    net.add(Scale())
    x, _ = small_data(5)
    predictor = net.predictor()
    expected = net.predict(x)
    net.layers[-1].factor.value = [5]
    np.testing.assert_array_equal(predictor(x), expected)


def test_it_can_be_pickled():
    net, (x, _) = network_with_training_modes(), small_data(9)
    predictor = net.predictor()
    expected = predictor(x)
    restored = pickle.loads(pickle.dumps(predictor))
    np.testing.assert_array_equal(restored(x), expected)
    assert len(pickle.dumps(lenet5().predictor())) < 2.1 * 4 * 61_706  # weights and gradients, no arrays of a batch
    assert repr(restored) == '<Predictor: float32 (N, 6, 6, 1) -> (N, 3)>'


@pytest.mark.parametrize('kernel_threads', [1, 4])
@pytest.mark.parametrize('fused', [True, False])
def test_many_threads_at_once_predict_what_one_does(fused, kernel_threads, threads):
    threads(kernel_threads)
    net = lenet5() if fused else small_network()
    net.fused = fused
    shape = net.input_shape
    images = np.random.default_rng(0).random((64, *shape), np.float32)
    predictor = net.predictor()
    expected = predictor(images)
    at_once = threading.Barrier(8)

    def work(seed):
        rng = np.random.default_rng(seed)
        at_once.wait()
        for _ in range(50):
            first, count = rng.integers(0, 40), rng.integers(1, 24)
            found = predictor(images[first : first + count])
            np.testing.assert_allclose(found, expected[first : first + count], rtol=1e-5, atol=1e-7)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))


def test_threads_share_the_weights():
    predictor = small_network().predictor()
    one, other = predictor._make_plan(), predictor._make_plan()
    for a, b, own in zip(one._layers, other._layers, predictor._layers, strict=True):
        assert a is not b
        assert [id(p) for p in a.parameters] == [id(p) for p in b.parameters] == [id(p) for p in own.parameters]


def test_the_backend_can_change_between_calls():
    net, (x, _) = small_network(), small_data(5)
    predictor = net.predictor()
    compiled = predictor(x)
    with cnnx.use_backend('numpy'):
        np.testing.assert_allclose(predictor(x), compiled, rtol=1e-5)
    np.testing.assert_array_equal(predictor(x), compiled)


@pytest.mark.parametrize(
    ('x', 'complaint'),
    [
        (np.zeros((2, 6, 6), np.float32), r'x: expected float32 (N, 6, 6, 1), got float32 (2, 6, 6)'),
        (np.zeros((6, 6, 2), np.float32), r'got float32 (6, 6, 2)'),
        (np.zeros((2, 6, 6, 1)), r"got float64 (2, 6, 6, 1); convert it: x.astype('float32')"),
        (np.zeros((6, 6, 1), np.uint8), r"got uint8 (6, 6, 1); convert it: x.astype('float32')"),
        (np.zeros((), np.float32), r'got float32 ()'),
        (np.zeros((1, 6, 6, 1), '>f4'), r"got >f4 (1, 6, 6, 1); convert it: x.astype('float32')"),
        (np.zeros((1, 6, 6, 1), object), 'x: expected numbers, got an array of object'),
        ('photo.png', 'x: expected numbers, got an array of <U9'),
        (None, 'x: expected numbers, got an array of object'),
        ([[1], [1, 2]], 'x: expected an array of numbers'),
        (np.ma.masked_all((1, 6, 6, 1), np.float32), 'x: expected plain numbers, got a masked array'),
    ],
)
def test_other_samples_are_refused(x, complaint):
    predictor = small_network().predictor()
    with pytest.raises(ValueError, match=re.escape(complaint)):
        predictor(x)
    assert predictor(np.zeros((6, 6, 1), np.float32)).shape == (3,)


def test_a_network_that_does_nothing_in_inference():
    x = np.random.default_rng(0).random((3, 4), np.float32)
    for layers in ([Dropout(0.5, input_shape=(4,))], [BatchNormalization(input_shape=(4,))]):
        net = Network(layers, seed=0)
        for fused in (True, False):
            net.fused = fused
            found = net.predictor()(x)
            np.testing.assert_allclose(found, net.predict(x), rtol=1e-6)
            assert found is not x


def test_a_network_without_layers_has_none():
    with pytest.raises(RuntimeError, match='the network has no layers; add some first'):
        Network().predictor()


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='this system has no fork')
def test_a_forked_process_can_call_it():
    code = """if True:
        import os, numpy as np
        from cnnx.models import lenet5
        predictor = lenet5(seed=0).predictor()
        x = np.ones((3, 28, 28, 1), np.float32)
        expected = predictor(x)
        pid = os.fork()
        if pid == 0:
            os._exit(0 if (predictor(x) == expected).all() else 1)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    """
    found = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, timeout=60)
    assert found.stdout == '0\n', found.stderr


@needs_compiled_kernels
def test_what_is_made_of_the_weights_alone_is_made_once():
    net = Network([BatchNormalization(input_shape=(4,)), cnnx.Tanh(), cnnx.Dense(output_size=3)], seed=0)
    predictor, x = net.predictor(), np.random.default_rng(0).random((30, 4), np.float32)
    with cnnx.use_backend('cython'):
        before = predictor(x)
        np.testing.assert_allclose(before, net.predict(x), rtol=1e-5)
        predictor._layers[0].parameters[2].value = np.full(4, 5)  # the running mean: not read again
        np.testing.assert_array_equal(predictor(x), before)
