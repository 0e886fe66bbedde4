"""Denormals count as 0 in compiled kernels, in all threads, and the caller's arithmetic keeps them."""

import os
import platform

import numpy as np
import pytest
from models import small_data, small_network

import cnnx
from cnnx import SGD, Adagrad, Adam, Convolutional, Dense, Network, RMSprop
from cnnx.layers.parameter import Parameter

pytestmark = pytest.mark.skipif(
    platform.machine().lower() not in ('x86_64', 'amd64', 'aarch64', 'arm64'), reason='this processor has no such mode'
)
OPTIMIZERS = [SGD(momentum=0.9), SGD(momentum=0.9, nesterov=True), Adam(), RMSprop(momentum=0.5), Adagrad()]


def denormals(array):
    """Count them by their bits, since arithmetic might flush them."""
    bits = np.ascontiguousarray(array, np.float32).view(np.uint32)
    return np.count_nonzero((bits & 0x7F800000 == 0) & (bits & 0x007FFFFF != 0))


def callers_arithmetic_keeps_denormals():
    return denormals(np.full(8, 1e-38, np.float32) * np.float32(0.01)) == 8


@pytest.fixture(autouse=True)
def on_compiled_kernels(compiled_kernels):
    threads = cnnx.num_threads()
    with cnnx.use_backend('cython'):
        yield
    cnnx.set_num_threads(threads)


@pytest.mark.parametrize('threads', [1, 2])
@pytest.mark.parametrize('optimizer', OPTIMIZERS, ids=repr)
def test_state_of_optimizers_decays_to_0(optimizer, threads):
    cnnx.set_num_threads(threads)
    parameter = Parameter('weights', np.zeros(5000, np.float32))
    parameter.grad[...] = 1e-15
    for _ in range(3000):
        optimizer.update([parameter], 0.001)
        parameter.grad[...] = 0
    assert not any(denormals(array) for array in parameter.state.values())
    assert callers_arithmetic_keeps_denormals()


@pytest.mark.parametrize('fused', [True, False])
def test_layers_of_tiny_weights(fused):
    net = Network(
        [Convolutional(4, 3, input_shape=(8, 8, 2)), cnnx.Flatten(), Dense(output_size=3)], seed=0, fused=fused
    )
    net.compile('mse', SGD(momentum=0.9))
    for parameter in net.parameters.values():
        parameter.value[...] = 1e-40
    x = np.random.default_rng(0).random((40, 8, 8, 2), np.float32)
    assert not net.predict(x).any()
    net.train_on_batch(x, np.zeros((40, 3)))
    assert callers_arithmetic_keeps_denormals()


def test_a_run_continues_from_state_with_denormals(tmp_path):
    net = small_network()
    with cnnx.use_backend('numpy'):
        net.train(*small_data(40), epochs=1, verbose=0)
    for parameter in net.parameters.values():
        for array in parameter.state.values():
            array[...] = 1e-40
    net.save(tmp_path / 'net.npz', optimizer_state=True)
    loaded = Network.load(tmp_path / 'net.npz')
    for network in (net, loaded):
        network.train(*small_data(40), epochs=2, verbose=0)
    assert all((p.value == loaded.parameters[name].value).all() for name, p in net.parameters.items())


def test_the_caller_keeps_denormals_after_errors_and_in_children():
    net = small_network()
    x, y = small_data(8)
    net.train(x, y, epochs=1, verbose=0)
    with pytest.raises(cnnx.DivergenceError):
        net.train(x, y, epochs=9, verbose=0, learning_rate=1e30)
    assert callers_arithmetic_keeps_denormals()
    if hasattr(os, 'fork'):
        child = os.fork()
        if child == 0:
            net.predict(x)
            os._exit(0 if callers_arithmetic_keeps_denormals() else 1)
        assert os.waitpid(child, 0)[1] == 0
