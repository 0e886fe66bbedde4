"""Batch normalization: against its formula and PyTorch, and as part of networks."""

import numpy as np
import pytest
from models import bits, small_data

import cnnx
from cnnx import BatchNormalization, kernels
from cnnx.checkpoint.state import arrays, describe

SHAPES = [(7, 5), (6, 4, 3), (4, 3, 2, 6), (300, 70), (2, 9, 9, 1), (40, 6, 5, 3)]


def network(seed=0, dtype='float32'):
    net = cnnx.Network(seed=seed, dtype=dtype)
    for layer in (
        cnnx.Convolutional(3, 3, input_shape=(6, 6, 1)),
        BatchNormalization(),
        cnnx.ReLU(),
        cnnx.Flatten(),
        cnnx.Dense(output_size=8),
        BatchNormalization(momentum=0.5),
        cnnx.Dense(output_size=3),
        cnnx.Softmax(),
    ):
        net.add(layer)
    net.compile(cnnx.CategoricalCrossEntropy(), cnnx.SGD(momentum=0.9))
    return net


def train(net, n=48, **options):
    x, y = small_data(n)
    return net.train(x, y, **{'epochs': 8, 'batch_size': 8, 'learning_rate': 0.1, 'verbose': 0, **options})


def values(layer):
    return {parameter.name: parameter.value for parameter in layer.parameters}


@pytest.mark.parametrize('shape', SHAPES)
@pytest.mark.parametrize('training', [True, False])
def test_it_computes_what_pytorch_does(shape, training):
    torch = pytest.importorskip('torch')
    rng = np.random.default_rng(0)
    layer = BatchNormalization(momentum=0.8, epsilon=1e-3).set_up(shape[1:], dtype='float64')
    theirs = torch.nn.BatchNorm1d(shape[-1], eps=1e-3, momentum=0.2, dtype=torch.float64)
    theirs.train(training)
    parameters = values(layer)
    for name, other in zip(parameters, ('weight', 'bias', 'running_mean', 'running_var'), strict=True):
        parameters[name][...] = rng.uniform(0.5, 2, shape[-1])
        getattr(theirs, other).data[...] = torch.from_numpy(parameters[name].copy())
    x, dy = 3 + 2 * rng.normal(size=shape), rng.normal(size=shape)
    rows = torch.from_numpy(x.reshape(-1, shape[-1])).requires_grad_()
    expected = theirs(rows)
    expected.backward(torch.from_numpy(dy.reshape(-1, shape[-1])))
    for ours, other in (
        (layer.forward(x, training), expected.detach()),
        (layer.backward(dy), rows.grad),
        (layer.parameters[0].grad, theirs.weight.grad),
        (layer.parameters[1].grad, theirs.bias.grad),
        (parameters['running_mean'], theirs.running_mean),
        (parameters['running_variance'], theirs.running_var),
    ):
        np.testing.assert_allclose(ours, other.numpy().reshape(ours.shape), rtol=1e-9, atol=1e-11)


def test_numbers_that_can_be_checked_by_hand():
    # Mean 3, variance 4 (unbiased 8); PyTorch 2.13 gives the same.
    layer = BatchNormalization(momentum=0.5, epsilon=1e-12)
    y = layer.forward(np.array([[1.0], [5.0]]), training=True)
    np.testing.assert_allclose(y, [[-1], [1]], rtol=1e-9)
    np.testing.assert_allclose(layer.backward(np.array([[1.0], [2.0]])), [[0], [0]], atol=1e-9)
    assert [p.grad.round(9).item() for p in layer.parameters[:2]] == [1, 3]
    assert [p.value.item() for p in layer.parameters] == [1, 0, 1.5, 4.5]


@pytest.mark.parametrize('shape', SHAPES)
def test_a_batch_has_mean_0_and_variance_1_after_it_even_far_from_0(shape):
    x = (1000 + np.random.default_rng(0).normal(size=shape)).astype(np.float32)
    y = BatchNormalization().forward(x, training=True).astype(np.float64)
    axes = tuple(range(len(shape) - 1))
    np.testing.assert_allclose(y.mean(axis=axes), 0, atol=2e-3)
    np.testing.assert_allclose(y.var(axis=axes), 1, rtol=1e-3)


@pytest.mark.parametrize('shape', [(1, 4), (1, 1, 1, 4)])
def test_one_row_is_its_own_mean_and_leaves_the_running_variance(shape):
    layer = BatchNormalization(momentum=0.5)
    x = np.arange(4.0).reshape(shape)
    assert (layer.forward(x, training=True) == 0).all()
    assert (layer.backward(np.ones(shape)) == 0).all()
    assert values(layer)['running_mean'].tolist() == [0, 0.5, 1, 1.5]
    assert values(layer)['running_variance'].tolist() == [1, 1, 1, 1]


def test_a_layer_that_is_not_trainable_uses_and_keeps_the_running_statistics():
    layer = BatchNormalization().set_up((3,))
    layer.trainable = False
    x = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    assert (layer.forward(x, training=True) == layer.forward(x)).all()
    assert values(layer)['running_mean'].tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'momentum': 1}, 'momentum: expected a finite number of at least 0 and less than 1'),
        ({'momentum': -0.1}, 'momentum'),
        ({'epsilon': 0}, 'epsilon: expected a finite number of more than 0'),
        ({'epsilon': float('inf')}, 'epsilon'),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        BatchNormalization(**arguments).set_up()


@pytest.mark.parametrize('threads', [2, 3, 8])
@pytest.mark.usefixtures('compiled_kernels')
def test_sums_have_the_same_bits_for_any_number_of_threads(threads):
    k, rng = kernels.current(), np.random.default_rng(0)
    for rows, channels in ((5000, 3), (700, 65), (129, 300), (1, 1), (65, 64)):
        x, dy = rng.normal(size=(2, rows, 1, channels)).astype(np.float32)
        results = []
        for n in (1, threads):
            mean, variance, dgamma, dbeta = np.empty((4, channels), np.float32)
            k.batchnorm_statistics(x, mean, variance, n)
            dx = np.empty_like(x)
            k.batchnorm_backward(x, mean, variance, mean, dy, dgamma, dbeta, dx, 1e-5, True, n)
            results.append([array.tobytes() for array in (mean, variance, dgamma, dbeta, dx)])
        assert results[0] == results[1]
        np.testing.assert_allclose(variance, x.var(axis=(0, 1), dtype=np.float64), rtol=1e-6)
        np.testing.assert_allclose(dbeta, dy.sum(axis=(0, 1), dtype=np.float64), rtol=1e-5, atol=1e-5)


def test_a_network_learns_and_its_running_statistics_follow():
    net = network()
    history = train(net)
    assert history['loss'][-1] < history['loss'][0] / 3
    assert net.evaluate(*small_data(60, seed=3))['accuracy'] > 0.9
    assert (net.parameters['running_mean_1'].value != 0).all()
    assert net.parameters['running_mean_1'].state == {}


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
def test_a_sample_is_predicted_alone_as_in_a_batch(dtype):
    net, (x, _) = network(dtype=dtype), small_data(30)
    train(net, epochs=1)
    layer = net.layers[1]
    maps = np.random.default_rng(0).normal(size=(30, *layer.input_shape)).astype(dtype)
    together = layer.forward(maps).copy()
    assert all((layer.forward(maps[i : i + 1])[0] == together[i]).all() for i in range(30))
    alone = np.concatenate([net.predict(x[i : i + 1]) for i in range(30)])
    np.testing.assert_allclose(alone, net.predict(x), rtol=1e-5)  # NumPy multiplies one row in another order than many


def test_files_hold_the_running_statistics(tmp_path):
    net, path = network(), tmp_path / 'net.npz'
    train(net)
    net.save(path)
    arrays, _ = cnnx.checkpoint.read(path)
    assert {'gamma_1', 'beta_1', 'running_mean_1', 'running_variance_1', 'gamma_5', 'weights_0'} < arrays.keys()
    loaded, other = cnnx.Network.load(path), network(seed=9)
    other.load_weights(path)
    assert bits(loaded) == bits(other) == bits(net)
    for each in (loaded, net):
        for parameter in each.parameters.values():
            parameter.state.clear()
        train(each)
    assert bits(loaded) == bits(net)


def test_files_of_networks_with_and_without_it_are_distinguished(tmp_path):
    net = network()
    net.save_weights(tmp_path / 'with.npz')
    plain = cnnx.Network(seed=0)
    plain.add(cnnx.Convolutional(3, 3, input_shape=(6, 6, 1)))
    plain.save_weights(tmp_path / 'without.npz')
    with pytest.raises(cnnx.CheckpointError, match='found beta_1, beta_5, bias_4'):
        plain.load_weights(tmp_path / 'with.npz')
    with pytest.raises(cnnx.CheckpointError, match='expected gamma_1 of shape'):
        net.load_weights(tmp_path / 'without.npz')


def test_a_file_that_asks_for_more_channels_than_it_holds_is_refused(tmp_path):
    net = network()
    description = describe(net)
    description['architecture']['layers'][1]['input_shape'] = [4, 4, 2**30]
    cnnx.checkpoint.write(tmp_path / 'net.npz', arrays(net), description)
    with pytest.raises(cnnx.CheckpointError, match=r'layer 1 .*expected input \(4, 4, 1073741824\), got \(4, 4, 3\)'):
        cnnx.Network.load(tmp_path / 'net.npz')


def test_a_batch_that_diverges_moves_no_running_statistics():
    net = network()
    x, y = small_data(16)
    train(net, epochs=1)
    before = bits(net)
    for bad in (np.nan, np.inf):
        x[3, 2, 2, 0] = bad
        with pytest.raises(cnnx.DivergenceError, match='sample 3 of x'):
            net.train(x, y, epochs=1, batch_size=16, shuffle=False, verbose=0)
        assert bits(net) == before


def test_the_summary_counts_all_parameters(capsys):
    net = network()
    net.summary()
    assert net.layers[1].parameter_count == 12
    assert '1 BatchNormalization' in capsys.readouterr().out


def test_scale_and_shift_are_what_it_predicts():
    layer, rng = cnnx.BatchNormalization().set_up((3,), dtype='float64'), np.random.default_rng(0)
    for parameter in layer.parameters:
        parameter.value = rng.uniform(0.5, 2, 3)
    x = rng.normal(size=(5, 3))
    scale, shift = layer.scale_and_shift()
    np.testing.assert_allclose(scale * x + shift, layer.forward(x), rtol=1e-12)
