"""The graph of a network: what reads what, forward and backward, on the plain and on the fast path."""

import numpy as np
import pytest
from graph_networks import data, random_graph, residual

import cnnx
from cnnx.execution import graph

# A diamond: 1 and 2 read 0, 3 reads both; 4 reads 3.
DIAMOND = [(-1,), (0,), (0,), (1, 2), (3,)]


def test_forward_hands_each_node_what_it_reads():
    seen = []
    outputs = graph.forward(DIAMOND, 1, lambda i, x: seen.append((i, x)) or 10 * (i + 1))
    assert outputs == [1, 10, 20, 30, 40, 50]
    assert seen == [(0, 1), (1, 10), (2, 10), (3, [20, 30]), (4, 40)]


def test_backward_adds_up_the_gradients_of_all_readers():
    gradients = graph.backward(DIAMOND, 1.0, lambda i, dy: [2 * dy, 3 * dy] if i == 3 else 10 * dy)
    assert gradients == [5000.0, 500.0, 20.0, 30.0, 10.0, 1.0]


def test_backward_stops_at_what_is_not_wanted():
    wanted = [False, False, True, True, True]
    gradients = graph.backward(DIAMOND, 1.0, lambda i, dy: [2 * dy, 3 * dy] if i == 3 else 10 * dy, wanted)
    assert gradients == [None, 300.0, 20.0, 30.0, 10.0, 1.0]


def test_chains_are_cut_where_branches_begin_and_merge():
    assert graph.chains(DIAMOND) == [[0], [1], [2], [3, 4]]
    assert graph.chains([(-1,), (0,), (1,)]) == [[0, 1, 2]]
    assert graph.chains([(-1,), (0,), (-1,), (2,), (1, 3)]) == [[0, 1], [2, 3], [4]]
    assert graph.chains([(-1,), (-1,), (0,), (1,)]) == [[0], [1], [2], [3]]
    assert graph.chains([]) == []


def test_without_hands_on_what_is_left_out():
    assert graph.without(DIAMOND, [1]) == ([0, 2, 3, 4], [(-1,), (0,), (0, 1), (2,)])
    assert graph.without([(-1,), (0,)], [0]) == ([1], [(-1,)])


def test_is_chain():
    assert graph.is_chain([(-1,), (0,)])
    assert not graph.is_chain(DIAMOND)


def trained(make, seed, backend='cython', **settings):
    """Return losses, predictions, the gradient of x, and weights, of a short run."""
    with cnnx.use_backend(backend):
        net = make(seed, **settings)
        x, y = data(13, seed, settings.get('dtype', 'float64'))
        losses = net.train(x, y, epochs=2, batch_size=5, learning_rate=0.05, verbose=0)['loss']
        y = net.forward(x, training=False)
        dx = net.backward(np.ones_like(y) * np.arange(3))
        return [np.array(losses), y, dx, net.predict(x), *weights(net), *gradients(net)]


def weights(net):
    return [parameter.value.copy() for parameter in net.parameters.values()]


def gradients(net):
    return [parameter.grad.copy() for parameter in net.trainable_parameters]


@pytest.mark.parametrize('seed', range(60))
def test_random_graphs_are_the_same_on_the_plain_and_on_the_fast_path(seed):
    plain, fused = (trained(random_graph, seed, fused=fused) for fused in (False, True))
    for ours, theirs in zip(plain, fused, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(
    'seed', [*range(0, 20, 2), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 20, 2))]
)
def test_random_graphs_have_the_gradients_of_their_forward_pass(seed):
    net = random_graph(seed)
    assert net.check_gradients(*data(4, seed), samples_per_parameter=5)


@pytest.mark.parametrize('seed', range(0, 60, 6))
@pytest.mark.parametrize('fused', [False, True])
def test_backends_agree(seed, fused):
    both = (trained(random_graph, seed, backend, fused=fused) for backend in ('numpy', 'cython'))
    for ours, theirs in zip(*both, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize('make', [residual, random_graph])
def test_bits_do_not_depend_on_the_number_of_threads(make, threads):
    results = []
    for count in (1, 2, 3):
        threads(count)
        results.append([array.tobytes() for array in trained(make, 3, dtype='float32')])
    assert results[0] == results[1] == results[2]


@pytest.mark.usefixtures('each_backend')
@pytest.mark.parametrize(
    'end',
    [
        lambda x: cnnx.ReLU()(cnnx.Add()([x, x])),
        lambda x: cnnx.Multiply()([x, x]),
        lambda x: cnnx.Concatenate()([x, x]),
        lambda x: cnnx.Dense(output_size=2)(cnnx.Flatten()(cnnx.Add()([x, cnnx.Dropout(0.5)(x)]))),
    ],
)
def test_a_merge_may_be_all_that_there_is(end):
    """Such a graph runs as one stage, which reads the input twice."""
    samples, both = np.arange(1.0, 9.0, dtype=np.float32).reshape(2, 1, 4), []
    for fused in (True, False):
        x = cnnx.Input((1, 4))
        net = cnnx.Network(inputs=x, outputs=end(x), seed=0, fused=fused)
        net.compile('mse')
        y = net.predict(samples)
        np.testing.assert_array_equal(y, net.forward(samples))
        both.append([y, net.backward(np.ones_like(y)), *net.evaluate(samples, y + 1).values()])
        if net.trainable_parameters:
            both[-1].append(net.train_on_batch(samples, y - 1)['loss'])
    for one, other in zip(*both, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)


def test_a_layer_that_nothing_reads_is_refused():
    net = cnnx.Network([cnnx.Dense(3, 3)], seed=0)
    net.add(cnnx.Dense(4), reads=(0,))
    net.add(cnnx.Dense(2), reads=(0,))
    with pytest.raises(ValueError, match=r'layer 1 \(Dense\): no layer reads it'):
        net.predict(np.ones((1, 3)))


def test_what_a_merge_of_ones_own_returns_is_checked():
    class Mean(cnnx.Layer):
        merges = True
        returned = None

        def output_shape(self, input_shape):
            return input_shape[0]

        def forward(self, x, training):
            return (x[0] + x[1]) / 2

        def backward(self, dy):
            return self.returned or [dy / 2, dy / 2]

    x = cnnx.Input((3,))
    mean = Mean()
    net = cnnx.Network(inputs=x, outputs=mean([cnnx.Dense(output_size=3)(x), x]), seed=0)
    net.compile('mse')
    assert net.check_gradients(np.ones((2, 3)), np.zeros((2, 3)))
    mean.returned = [np.zeros((2, 3), np.float32)]
    with pytest.raises(ValueError, match=r'Mean\.backward to return a list of 2 arrays, got 1 arrays'):
        net.train_on_batch(np.ones((2, 3)), np.zeros((2, 3)))
