"""Programs of blocks: any number of threads, any form of samples, no memory of the batch's size."""

import contextvars
import gc
import hashlib
import os
import signal
import subprocess
import sys
import threading
import tracemalloc
import warnings
import weakref

import numpy as np
import pytest
from fused_networks import ALL_KINDS, SHAPE, data, network
from models import bits, lenet5

import cnnx
from cnnx.training.array_data import ArrayData

both_dtypes = pytest.mark.parametrize('dtype', ['float32', 'float64'])


def trained_hash(net, x, y, batch_size, epochs=1):
    net.train(x, y, epochs=epochs, learning_rate=0.01, batch_size=batch_size, verbose=0)
    return hashlib.sha256(b''.join(bits(net).values())).hexdigest()


@both_dtypes
@pytest.mark.parametrize(('samples', 'batch_size'), [(41, 8), (19, 1), (21, 5), (22, 9), (30, 50), (100, 33)])
def test_the_number_of_threads_changes_no_bit(dtype, samples, batch_size, threads, compiled_kernels):
    hashes = set()
    for count in (1, 2, 3, 4, 8):
        threads(count)
        net = network('two convolutions', dtype)
        hashes.add(trained_hash(net, *data(net, samples), batch_size))
    assert len(hashes) == 1


@both_dtypes
@pytest.mark.parametrize('name', ALL_KINDS)
def test_the_number_of_threads_changes_no_bit_of_any_kind(name, dtype, threads, compiled_kernels):
    hashes = set()
    for count in (1, 2, 5):
        threads(count)
        net = network(name, dtype)
        x, y = data(net, 30)
        hashes.add((trained_hash(net, x, y, 13), net.predict(x, 20).tobytes(), net.predict(x[:1]).tobytes()))
    assert len(hashes) == 1


@both_dtypes
def test_the_number_of_threads_changes_no_bit_of_lenet5(dtype, threads, compiled_kernels):
    rng = np.random.default_rng(0)
    x, y = rng.random((70, 28, 28, 1)).astype(dtype), rng.integers(0, 10, 70)
    hashes = set()
    for count in (1, 2, 3, 4, 8):
        threads(count)
        hashes.add(trained_hash(lenet5(dtype=dtype), x, y, 23))
    assert len(hashes) == 1


@both_dtypes
@pytest.mark.parametrize('samples', [1, 2, 3, 13, 25])
def test_threads_share_the_passes_of_few_samples(dtype, samples, threads, compiled_kernels):
    x = np.random.default_rng(0).normal(size=(samples, 17, 14, 2)).astype(dtype)
    net = cnnx.Network(
        [
            cnnx.Convolutional(7, 5, padding='same', input_shape=x.shape[1:]),
            cnnx.BatchNormalization(),
            cnnx.ReLU(),
            cnnx.Convolutional(16, 3, padding='same', algorithm='winograd'),
            cnnx.AveragePooling(3, stride=1),
            cnnx.Convolutional(16, 3, groups=16, padding='same'),
            cnnx.Convolutional(24, 1),
            cnnx.ReLU(),
            cnnx.UpSampling(2),
            cnnx.Convolutional(20, 3, stride=2),
            cnnx.MaxPooling(3, stride=2),
            cnnx.Convolutional(19, 2),
            cnnx.Tanh(),
            cnnx.MaxPooling(2, stride=1),
            cnnx.Flatten(),
            cnnx.Dense(1500),
            cnnx.ReLU(),
            cnnx.Dense(1400),
            cnnx.ReLU(),
            cnnx.Dense(10),
            cnnx.Softmax(),
        ],
        dtype=dtype,
        seed=0,
    )
    found = set()
    for count in (1, 2, 3, 8, 64):
        threads(count)
        predict = net.predictor()
        found.add((net.predict(x).tobytes(), predict(x).tobytes(), predict(x[0]).tobytes()))
    assert len(found) == 1


def memory_mapped(x, folder):
    np.save(folder / 'x.npy', x)
    return np.load(folder / 'x.npy', mmap_mode='r')


def read_only(x):
    x = x.copy()
    x.setflags(write=False)
    return x


def misaligned(x):
    memory = np.zeros(x.nbytes + 1, np.uint8)
    memory[1:] = x.view(np.uint8).reshape(-1)
    return memory[1:].view(x.dtype).reshape(x.shape)


FORMS = {
    'strided': lambda x, folder: np.repeat(x, 2, axis=0)[::2],
    'backwards': lambda x, folder: x[::-1].copy()[::-1],
    'channels first': lambda x, folder: np.ascontiguousarray(x.transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1),
    'broadcast': lambda x, folder: np.broadcast_to(x[:1], x.shape),
    'read-only': lambda x, folder: read_only(x),
    'big-endian': lambda x, folder: x.astype('>f4'),
    'Fortran order': lambda x, folder: np.asfortranarray(x),
    'memory-mapped': memory_mapped,
    'misaligned': lambda x, folder: misaligned(x),
    'uint8': lambda x, folder: x.astype('u1'),
    'int64': lambda x, folder: x.astype('i8'),
    'float64': lambda x, folder: x.astype('f8'),
    'float16': lambda x, folder: x.astype('f2'),
    'a list': lambda x, folder: x.tolist(),
    'a subclass': lambda x, folder: x.view(np.ma.MaskedArray),
}


@pytest.mark.parametrize('name', ['two convolutions', 'Softmax and means of squares'])
@pytest.mark.parametrize('form', FORMS)
def test_samples_of_any_form_give_the_same(form, name, tmp_path):
    nets = [network(name, 'float32') for _ in range(2)]
    _, y = data(nets[0], 10)
    x = np.random.default_rng(0).integers(0, 9, (10, *SHAPE)).astype('f4')
    given = FORMS[form](x, tmp_path)
    plain = np.array(given, 'f4', order='C')
    targets = y[::-1].copy()[::-1] if form == 'backwards' else y.astype('>i8' if y.dtype.kind == 'i' else '>f4')
    found = []
    for net, samples, labels in zip(nets, (given, plain), (targets, y), strict=True):
        net.train(samples, labels, epochs=2, batch_size=4, learning_rate=0.001, verbose=0)
        found.append((bits(net), net.evaluate(samples, labels, batch_size=3), net.predict(samples, 3).tobytes()))
    assert found[0] == found[1]


# Batch normalization runs apart from blocks, and keeps what its running numbers were.
@pytest.mark.parametrize(
    'name', ['LeNet-5', 'means of squares', *(name for name in ALL_KINDS if 'normalized' not in name)]
)
def test_a_step_allocates_nothing_of_the_batchs_size(name, compiled_kernels):
    net = lenet5() if name == 'LeNet-5' else network(name, 'float32')
    x, y = data(net, 256)
    samples, index = ArrayData(net, x, y), np.arange(128)

    def step():
        net.plan.forward_and_backward(samples, index)
        net.optimizer.update(net.parameters.values(), 0.01)
        net.plan.evaluate(samples, index)

    step()
    gc.collect()
    tracemalloc.start()
    try:
        step()
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        step()
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # The targets of a batch are copied where blocks do not read them.
    assert peak - before < 16_384 + 2 * y[:256].nbytes
    assert after - before < 1024


@pytest.mark.parametrize('name', ['two convolutions', 'means of squares', 'Sigmoid', 'normalized first'])
def test_training_does_not_keep_the_data(name):
    net = network(name)
    x, y = data(net, 20)
    held = weakref.ref(x)
    samples = ArrayData(net, x, y)
    targets = weakref.ref(samples.targets)
    net.plan.forward_and_backward(samples, np.arange(7))
    net.plan.evaluate(samples, np.arange(7))
    net.train(x, y, epochs=1, verbose=0)
    net.evaluate(x, y)
    net.predict(x)
    del x, y, samples
    gc.collect()
    assert held() is None
    assert targets() is None


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='this system has no fork')
def test_a_child_trains_after_its_parent_did_with_threads(threads, compiled_kernels):
    threads(4)
    net = network('two convolutions', 'float32')
    x, y = data(net, 30)
    trained_hash(net, x, y, 8)
    twin = network('two convolutions', 'float32')
    expected = trained_hash(twin, x, y, 8)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', DeprecationWarning)  # Python 3.12 and newer advise against such a fork
        child = os.fork()
    if child == 0:
        signal.alarm(20)
        status = 1
        try:
            fresh = trained_hash(network('two convolutions', 'float32'), x, y, 8)
            net.train(x, y, epochs=1, verbose=0)
            status = 0 if fresh == expected else 3
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize('shared', [False, True])
def test_networks_train_side_by_side(shared, threads, compiled_kernels):
    threads(2)
    names = ['two convolutions', 'strides']
    x, y = data(network(names[0]), 60)
    alone = [trained_hash(network(name), x, y, 7, epochs=4) for name in names]
    nets, together = [network(name) for name in names], {}
    if shared:
        nets[1].optimizer = nets[0].optimizer

    def train(place):
        together[place] = trained_hash(nets[place], x, y, 7, epochs=4)

    # In copies of this context, which says what backend runs.
    workers = [threading.Thread(target=contextvars.copy_context().run, args=(train, place)) for place in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [together.get(place) for place in range(2)] == alone


def test_fewer_threads_than_asked_for_give_the_same_bits(compiled_kernels):
    code = """
import hashlib, numpy as np, cnnx
cnnx.set_num_threads(4)
rng = np.random.default_rng(0)
x, y = rng.random((128, 12, 12, 1), dtype=np.float32), rng.integers(0, 10, 128)
layers = [cnnx.Convolutional(8, 3, input_shape=(12, 12, 1)), cnnx.BatchNormalization(), cnnx.ReLU(), cnnx.Flatten()]
net = cnnx.Network([*layers, cnnx.Dense(10), cnnx.Softmax()], seed=0)
net.compile(cnnx.CategoricalCrossEntropy(), cnnx.SGD())
net.train(x, y, 2, 0.01, batch_size=64, verbose=0)
print(hashlib.sha256(net.layers[0].weights.tobytes()).hexdigest())
"""
    hashes = set()
    for limit in ('1', '3', '4'):
        run = [sys.executable, '-c', code], {**os.environ, 'OMP_THREAD_LIMIT': limit, 'CNNX_BACKEND': 'cython'}
        hashes.add(subprocess.run(run[0], env=run[1], capture_output=True, text=True, timeout=60, check=True).stdout)
    assert len(hashes) == 1
