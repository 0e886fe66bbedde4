"""Networks that run in blocks: against their layers one by one, and what a step leaves behind."""

import contextvars
import gc
import hashlib
import itertools
import os
import signal
import threading
import tracemalloc
import warnings
import weakref

import numpy as np
import pytest
from models import bits, lenet5, small_data, small_network

import cnnx
from cnnx import (
    SGD,
    AveragePooling,
    BatchNormalization,
    CategoricalCrossEntropy,
    Convolutional,
    Dense,
    Dropout,
    Flatten,
    GlobalAveragePooling,
    LeakyReLU,
    MaxPooling,
    MeanSquaredError,
    ReLU,
    Sigmoid,
    Softmax,
    Tanh,
    kernels,
)
from cnnx.execution.program import Sweep
from cnnx.training.array_data import ArrayData

SHAPE = (12, 13, 2)


def first(filters=5, kernel=3, **settings):
    return Convolutional(filters, kernel, input_shape=SHAPE, **settings)


def dense(*layers):
    return Flatten(), Dense(output_size=9), *layers


def end():
    return Flatten(), Dense(output_size=4), Softmax()


# Layers of all kinds that blocks run.
ALL_KINDS = {
    'Tanh, then pooling': lambda: (first(), Tanh(), MaxPooling(2), *end()),
    'pooling, then Tanh': lambda: (first(17), MaxPooling(2), Tanh(), *end()),
    'LeakyReLU, then pooling': lambda: (first(), LeakyReLU(0.3), MaxPooling((3, 2), stride=2), *end()),
    'Sigmoid everywhere': lambda: (first(), Sigmoid(), *dense(Sigmoid()), *dense(Sigmoid()), *end()),
    'ReLU twice': lambda: (first(), ReLU(), ReLU(), *dense(ReLU(), ReLU()), *end()),
    'activations twice': lambda: (
        (first(), LeakyReLU(0.2), Tanh(), MaxPooling(3, stride=2), Sigmoid(), *dense(ReLU(), Tanh(), ReLU()), *end())
    ),
    'an activation behind Flatten': lambda: (
        first(),
        MaxPooling(2),
        Flatten(),
        Tanh(),
        Dense(output_size=4),
        Softmax(),
    ),
    'pooling first': lambda: (MaxPooling(2, input_shape=SHAPE), Convolutional(3, 3), *end()),
    'pooling over the edges': lambda: (first(), Tanh(), MaxPooling(3, stride=2, padding='same'), *end()),
    'overlapping pools, twice': lambda: (first(), MaxPooling(3, stride=1), MaxPooling((2, 3), stride=1), *end()),
    'average pooling': lambda: (first(), ReLU(), AveragePooling(2), Convolutional(17, 2), AveragePooling(2), *end()),
    'average pooling over the edges': lambda: (
        (first(), AveragePooling(2, padding='same'), Tanh(), AveragePooling(3, stride=2, padding='same'), *end())
    ),
    'average pooling first': lambda: (AveragePooling((2, 3), stride=(3, 4), input_shape=SHAPE), ReLU(), *end()),
    'global average pooling': lambda: (first(17), ReLU(), GlobalAveragePooling(), Dense(output_size=4), Softmax()),
    'global average pooling, then Tanh': lambda: (first(), GlobalAveragePooling(), Tanh(), *dense(ReLU()), *end()[1:]),
    'an activation first': lambda: (Tanh(input_shape=SHAPE), first(), ReLU(), *end()),
    'an activation and pooling first': lambda: (LeakyReLU(input_shape=SHAPE), MaxPooling(2), Tanh(), *end()),
    'Flatten first': lambda: (Flatten(input_shape=SHAPE), Tanh(), *dense(ReLU()), *end()[1:]),
    'dropout first': lambda: (Dropout(0.3, input_shape=SHAPE), first(), ReLU(), MaxPooling(2), *end()),
    'dropout behind dense layers': lambda: (
        (first(), ReLU(), *dense(ReLU(), Dropout(0.5)), *dense(Dropout(0.2)), *dense(LeakyReLU(), Dropout(0.4)), *end())
    ),
    'dropout behind Tanh': lambda: (first(), Tanh(), Dropout(0.5), *dense(Sigmoid(), Dropout(0.5), Tanh()), *end()),
    'dropout twice': lambda: (
        first(),
        ReLU(),
        Dropout(0.2),
        Dropout(0.3),
        *dense(ReLU(), Dropout(0), Dropout(0.1)),
        *end(),
    ),
    'dropout between ReLU and pooling': lambda: (first(), ReLU(), Dropout(0.4), MaxPooling(2), Dropout(0.2), *end()),
    'dropout before activations': lambda: (
        first(),
        Dropout(0.3),
        Sigmoid(),
        *dense(ReLU(), Dropout(0.4), Sigmoid()),
        *end(),
    ),
    'dropout at the end': lambda: (first(), ReLU(), Flatten(), Dense(output_size=4), Dropout(0.2), Softmax()),
    'normalized': lambda: (
        (first(), BatchNormalization(), ReLU(), MaxPooling(2), *dense(BatchNormalization(), Tanh()), *end())
    ),
    'normalized first': lambda: (
        BatchNormalization(input_shape=SHAPE),
        Tanh(),
        Dropout(0.2),
        AveragePooling(2),
        *end(),
    ),
    'normalized twice': lambda: (
        (first(), BatchNormalization(), BatchNormalization(), Flatten(), Dropout(0.2), BatchNormalization(), *end()[1:])
    ),
}
# Layers, the loss, and whether blocks can run them.
NETWORKS = {
    'convolution alone': lambda: ((first(), *end()), CategoricalCrossEntropy(), True),
    'convolution and ReLU': lambda: ((first(17), ReLU(), *end()), CategoricalCrossEntropy(), True),
    'ReLU, then pooling': lambda: ((first(), ReLU(), MaxPooling(2), *end()), CategoricalCrossEntropy(), True),
    'pooling, then ReLU': lambda: ((first(), MaxPooling(2), ReLU(), *end()), CategoricalCrossEntropy(), True),
    'ReLU behind Flatten': lambda: (
        (first(), MaxPooling(3, stride=2), Flatten(), ReLU(), Dense(output_size=4), Softmax()),
        CategoricalCrossEntropy(),
        True,
    ),
    'two convolutions': lambda: (
        (first(6, padding='same'), ReLU(), MaxPooling(2), Convolutional(9, 3), MaxPooling(2), *end()),
        CategoricalCrossEntropy(),
        True,
    ),
    'convolutions in a row': lambda: (
        (first(17, (3, 2), padding='same'), ReLU(), Convolutional(3, 3, stride=2), ReLU(), *end()),
        CategoricalCrossEntropy(),
        True,
    ),
    'strides': lambda: (
        (first(6, (2, 3), stride=(3, 2), padding='same'), ReLU(), MaxPooling((1, 2), stride=3), *end()),
        CategoricalCrossEntropy(),
        True,
    ),
    'logits': lambda: ((first(), ReLU(), *end()[:2]), CategoricalCrossEntropy(from_logits=True), True),
    'means of squares': lambda: ((first(), ReLU(), MaxPooling(2), *end()[:2], ReLU()), MeanSquaredError(), True),
    'images come out': lambda: ((first(2, padding='same'), ReLU(), Convolutional(1, 3)), MeanSquaredError(), True),
    'Softmax and means of squares': lambda: ((first(), ReLU(), *end()), MeanSquaredError(), True),
    'Sigmoid': lambda: ((first(), Sigmoid(), MaxPooling(2), *end()), CategoricalCrossEntropy(), True),
    'dense layers alone': lambda: (
        (Dense(int(np.prod(SHAPE)), 33), ReLU(), Dense(output_size=16), Dense(output_size=4), ReLU(), Softmax()),
        CategoricalCrossEntropy(),
        True,
    ),
    'Softmax inside': lambda: ((first(), ReLU(), *end(), Dense(output_size=3)), MeanSquaredError(), False),
    **{name: lambda layers=layers: (layers(), CategoricalCrossEntropy(), True) for name, layers in ALL_KINDS.items()},
}


def network(name, dtype='float64', seed=0):
    net = cnnx.Network(seed=seed, dtype=dtype)
    layers, loss, _ = NETWORKS[name]()
    for layer in layers:
        net.add(layer)
    for index, parameter in enumerate(net.parameters.values()):
        if parameter.name == 'bias':
            parameter.value = np.random.default_rng(index).normal(size=parameter.value.shape) / 4
    net.compile(loss, SGD(momentum=0.9))
    return net


def data(net, n, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, *net.layers[0].input_shape)).astype(net.dtype)
    shape = net.layers[-1].output_shape
    if isinstance(net.loss, CategoricalCrossEntropy):
        return x, rng.integers(0, shape[0], n)
    return x, rng.random((n, *shape)).astype(net.dtype)


def in_one_sweep(net):
    """Whether all layers run as one program, the Softmax at the end included."""
    steps = net.plan._route('predict').steps
    return len(steps) == 1 and isinstance(steps[0], Sweep)


def gradients(net):
    return {name: parameter.grad.copy() for name, parameter in net.parameters.items()}


both_dtypes = pytest.mark.parametrize('dtype', ['float32', 'float64'])


@pytest.mark.parametrize('backend', ['cython', 'numpy'])
@pytest.mark.parametrize('name', NETWORKS)
def test_blocks_compute_what_layers_do(name, backend, compiled_kernels):
    with cnnx.use_backend(backend):
        fused, plain = network(name), network(name)
        assert in_one_sweep(fused) == NETWORKS[name]()[2]
        plain.plan.run_layer_by_layer()
        x, y = data(fused, 11)
        for index in (np.arange(9), np.array([10, 2, 2, 0]), np.array([5]), np.arange(11)):
            found = []
            for net in (fused, plain):
                samples = ArrayData(net, x, y)
                found.append((net.plan.learn(samples, index), gradients(net), net.plan.assess(samples, index)))
            assert found[0][0] == pytest.approx(found[1][0], rel=1e-12)
            assert found[0][2] == pytest.approx(found[1][2], rel=1e-12)
            for parameter, gradient in found[1][1].items():
                np.testing.assert_allclose(found[0][1][parameter], gradient, rtol=1e-9, atol=1e-12)
        assert fused.generator.bit_generator.state == plain.generator.bit_generator.state
        np.testing.assert_allclose(fused.predict(x, 4), plain.predict(x, 4), rtol=1e-11, atol=1e-12)
        assert fused.evaluate(x, y, 4) == pytest.approx(plain.evaluate(x, y, 4), rel=1e-12)


def learned(net):
    """Learn a batch; return the gradients of what is learned, and see that nothing else was written."""
    x, y = data(net, 6)
    for parameter in net.parameters.values():
        parameter.grad = np.full(parameter.grad.shape, np.nan)
    found = net.plan.learn(ArrayData(net, x, y), np.array([4, 0, 1, 5]))
    for layer in net.layers:
        for p in layer.parameters:
            assert np.isfinite(p.grad).all() if layer.trainable and p.trainable else np.isnan(p.grad).all()
    return found, [parameter.grad.copy() for parameter in net.trainable_parameters]


@pytest.mark.parametrize('backend', ['cython', 'numpy'])
@pytest.mark.parametrize(
    'name',
    [
        *(
            'two convolutions',
            'dense layers alone',
            'Sigmoid',
            'images come out',
            'average pooling',
            'activations twice',
        ),
        *('dropout behind dense layers', 'dropout before activations', 'dropout first', 'an activation first'),
    ],
)
def test_frozen_layers_get_no_gradient_and_others_the_same_one(name, backend, compiled_kernels):
    layers = [layer.index for layer in network(name).layers if layer.parameters]
    with cnnx.use_backend(backend):
        for frozen in itertools.chain.from_iterable(itertools.combinations(layers, n) for n in range(len(layers) + 1)):
            nets = [network(name), network(name), network(name)]
            for net in nets[:2]:
                for index in frozen:
                    net.layers[index].trainable = False
            nets[1].plan.run_layer_by_layer()
            (found, ours), (plain_found, plain), _ = map(learned, nets)
            whole = [p.grad for layer in nets[2].layers if layer.index not in frozen for p in layer.parameters]
            assert found == pytest.approx(plain_found, rel=1e-12)
            for mine, other, expected in zip(ours, plain, whole, strict=True):
                np.testing.assert_allclose(mine, expected, rtol=1e-9, atol=1e-12)
                np.testing.assert_allclose(other, expected, rtol=1e-9, atol=1e-12)


def test_a_layer_frozen_between_epochs_stays_from_then_on():
    net = network('two convolutions', 'float32')
    x, y = data(net, 20)
    net.train(x, y, epochs=1, verbose=0)
    net.layers[0].trainable = False
    before = bits(net)
    net.train(x, y, epochs=1, verbose=0)
    changed = {name for name, value in bits(net).items() if value != before[name]}
    assert changed == set(net.parameters) - {'weights_0', 'bias_0'}


def weigh_and_smooth(net):
    if isinstance(net.loss, CategoricalCrossEntropy):
        net.loss.label_smoothing = 0.2
    for layer in net.layers:
        if isinstance(layer, (Convolutional, Dense)):
            layer.l2 = 0.01


@pytest.mark.parametrize('change', [lambda net: None, weigh_and_smooth], ids=['plain', 'weighted'])
@pytest.mark.parametrize('name', NETWORKS)
def test_gradients_are_those_of_the_loss(name, change):
    net = network(name)
    change(net)
    x, y = data(net, 5)
    weights = np.array([0.5, 2, 0, 1, 3]) if change is weigh_and_smooth else None
    samples, index = ArrayData(net, x, y, weights), np.arange(5)
    state = net.generator.bit_generator.state

    def learn():
        net.generator.bit_generator.state = state
        return net.plan.learn(samples, index)[0]

    learn()
    analytic = gradients(net)
    for parameter_name, parameter in net.parameters.items():
        flat = parameter.value.reshape(-1)
        for place in np.random.default_rng(0).integers(0, flat.size, 4):
            value, ends = flat[place], []
            for step in (1e-6, -1e-6):
                flat[place] = value + step
                ends.append(learn() / 5)
            flat[place] = value
            expected = (ends[0] - ends[1]) / 2e-6
            assert analytic[parameter_name].flat[place] == pytest.approx(expected, rel=1e-3, abs=1e-7)


def trained_hash(net, x, y, batch_size, epochs=1):
    net.train(x, y, epochs=epochs, learning_rate=0.01, batch_size=batch_size, verbose=0)
    return hashlib.sha256(b''.join(bits(net).values())).hexdigest()


@pytest.fixture
def threads(monkeypatch):
    """Let the test set the number of threads, which then work on small batches too."""
    monkeypatch.setattr(kernels, 'SERIAL_WORK', 0)
    before = kernels.num_threads()
    yield cnnx.set_num_threads
    cnnx.set_num_threads(before)


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
        hashes.add((trained_hash(net, *data(net, 30), 13), net.predict(data(net, 30)[0], 20).tobytes()))
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
        found.append((bits(net), net.evaluate(samples, labels, 3), net.predict(samples, 3).tobytes()))
    assert found[0] == found[1]


# Batch normalization runs apart from blocks, and keeps what its running numbers were.
@pytest.mark.parametrize(
    'name', ['LeNet-5', 'means of squares', *(name for name in ALL_KINDS if 'normalized' not in name)]
)
def test_a_step_allocates_nothing_of_the_batchs_size(name, compiled_kernels):
    net = lenet5() if name == 'LeNet-5' else network(name, 'float32')
    x, y = data(net, 512)
    samples, index = ArrayData(net, x, y), np.arange(256)

    def step():
        net.plan.learn(samples, index)
        net.optimizer.update(net.parameters.values(), 0.01)
        net.plan.assess(samples, index)

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
    net.plan.learn(samples, np.arange(7))
    net.plan.assess(samples, np.arange(7))
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


def test_a_plan_follows_what_changes():
    """The program that a plan keeps sees new weights, larger batches, and another backend."""
    net, twin = small_network(dtype='float64'), small_network(dtype='float64')
    twin.plan.run_layer_by_layer()
    x, y = small_data(30)
    for n, backend in ((4, 'auto'), (30, 'auto'), (7, 'numpy'), (9, 'auto'), (5, 'auto'), (4, 'auto')):
        with cnnx.use_backend(backend):
            for network_ in (net, twin):
                network_.train(x[:n], y[:n], epochs=1, batch_size=n, learning_rate=0.1, verbose=0)
            np.testing.assert_allclose(net.predict(x), twin.predict(x), rtol=1e-8)
        for network_ in (net, twin):
            network_.layers[0].weights = network_.layers[0].weights * 1.01
