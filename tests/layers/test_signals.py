"""Convolution and pooling of signals (N, L, C): by hand, PyTorch's numbers, and a task with sequences."""

import numpy as np
import pytest

import cnnx
from cnnx import AveragePooling1D, Convolutional, Convolutional1D, GlobalMaxPooling, MaxPooling, MaxPooling1D


def test_an_output_and_gradients_by_hand():
    layer = Convolutional1D(1, 2, input_shape=(3, 1))
    layer.weights = np.array([1, 10]).reshape(1, 2, 1, 1)
    layer.bias = [100]
    assert layer.forward(np.array([1, 2, 3]).reshape(1, 3, 1)).ravel().tolist() == [121, 132]
    assert layer.backward(np.array([1, 2]).reshape(1, 2, 1)).ravel().tolist() == [1, 12, 20]
    assert layer.parameters[0].grad.ravel().tolist() == [5, 8]
    pool = MaxPooling1D(2, stride=1)
    assert pool.forward(np.array([1, 5, 2]).reshape(1, 3, 1)).ravel().tolist() == [5, 5]
    assert pool.backward(np.array([1, 2]).reshape(1, 2, 1)).ravel().tolist() == [0, 3, 0]


@pytest.mark.usefixtures('each_backend')
@pytest.mark.parametrize('options', [{}, {'stride': 2, 'padding': 1}, {'dilation': 3, 'groups': 2}, {'groups': 4}])
def test_convolutions_are_those_of_pytorch(options):
    torch = pytest.importorskip('torch')
    layer = Convolutional1D(4, 3, **options).set_up((11, 4), dtype='float64')
    theirs = torch.nn.Conv1d(4, 4, 3, **options, dtype=torch.float64)
    theirs.weight.data[...] = torch.from_numpy(layer.weights[0]).permute(2, 1, 0)
    theirs.bias.data[...] = 0
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.normal(size=(2, 11, 4))).requires_grad_()
    expected = theirs(x.permute(0, 2, 1)).permute(0, 2, 1)
    y = layer.forward(x.detach().numpy())
    np.testing.assert_allclose(y, expected.detach().numpy(), rtol=1e-10, atol=1e-12)
    dy = rng.normal(size=y.shape)
    expected.backward(torch.from_numpy(dy))
    np.testing.assert_allclose(layer.backward(dy), x.grad.numpy(), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(layer.parameters[0].grad[0], theirs.weight.grad.permute(2, 1, 0).numpy(), rtol=1e-10)
    np.testing.assert_allclose(layer.parameters[1].grad, theirs.bias.grad.numpy(), rtol=1e-10)


@pytest.mark.parametrize(('kind', 'name'), [(MaxPooling1D, 'MaxPool1d'), (AveragePooling1D, 'AvgPool1d')])
def test_poolings_are_those_of_pytorch(kind, name):
    torch = pytest.importorskip('torch')
    layer, theirs = kind(3, stride=2), getattr(torch.nn, name)
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 10, 4))).requires_grad_()
    expected = theirs(3, 2)(x.permute(0, 2, 1)).permute(0, 2, 1)
    np.testing.assert_allclose(layer.forward(x.detach().numpy()), expected.detach().numpy(), rtol=1e-12)
    expected.sum().backward()
    np.testing.assert_allclose(layer.backward(np.ones(expected.shape)), x.grad.numpy(), rtol=1e-12)


def test_settings_are_what_was_given():
    layer = Convolutional1D(4, 3, stride=2, padding=1, dilation=2)
    assert {name: layer.settings()[name] for name in ('kernel_size', 'stride', 'padding', 'dilation')} == {
        'kernel_size': 3,
        'stride': 2,
        'padding': 1,
        'dilation': 2,
    }
    assert MaxPooling1D(3).settings() == {'pool_size': 3, 'stride': 3, 'padding': 'valid'}


@pytest.mark.parametrize(
    ('make', 'message'),
    [
        (lambda: Convolutional1D(2, (3, 3)), 'kernel_size: expected a whole number of at least 1'),
        (lambda: Convolutional1D(2, 3, padding=(1, 1)), 'padding: expected'),
        (lambda: Convolutional1D(2, 3, padding=-1), 'padding: expected'),
        (lambda: MaxPooling1D(0), 'pool_size: expected a whole number of at least 1'),
        (lambda: MaxPooling1D(2, stride=(1, 1)), 'stride: expected a whole number of at least 1'),
        (lambda: MaxPooling1D(2, padding=(1, 1)), 'padding: expected'),
        (lambda: Convolutional1D(2, 3, input_shape=(9, 9, 1)).set_up(), r'expected input \(length, channels\)'),
        (lambda: MaxPooling1D(5, input_shape=(4, 2)).set_up(), '1 x 5 does not fit into an input of 1 x 4'),
    ],
)
def test_wrong_arguments_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def sequences(n, seed):
    """Return signals of 40 numbers with a rise or a fall of 5 numbers somewhere in noise, and which of them it is."""
    rng = np.random.default_rng(seed)
    x, labels = 0.3 * rng.normal(size=(n, 40, 1)), rng.integers(0, 2, n)
    for signal, label, first in zip(x, labels, rng.integers(0, 36, n), strict=True):
        signal[first : first + 5, 0] += np.linspace(-2, 2, 5) * (1 if label else -1)
    return x.astype(np.float32), labels


@pytest.mark.parametrize('fused', [True, False])
def test_a_network_learns_what_stands_somewhere_in_a_sequence(fused, tmp_path):
    net = cnnx.Network(
        [
            Convolutional1D(8, 5, padding='same', input_shape=(40, 1)),
            cnnx.BatchNormalization(),
            cnnx.ReLU(),
            MaxPooling1D(2),
            Convolutional1D(8, 3),
            cnnx.ReLU(),
            GlobalMaxPooling(),
            cnnx.Dense(output_size=2),
            cnnx.Softmax(),
        ],
        seed=0,
        fused=fused,
    )
    net.compile(cnnx.CategoricalCrossEntropy(), cnnx.Adam())
    net.train(*sequences(600, 0), epochs=6, batch_size=20, learning_rate=0.01, verbose=0)
    x, labels = sequences(300, 1)
    assert net.evaluate(x, labels)['accuracy'] > 0.98
    net.save(tmp_path / 'net.npz')
    assert (cnnx.Network.load(tmp_path / 'net.npz').predict(x) == net.predict(x)).all()


def test_one_row_of_an_image_is_computed_alike():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3, 9, 2))
    image, signal = Convolutional(4, (1, 3), padding='same'), Convolutional1D(4, 3, padding='same')
    assert (image.forward(x[:, np.newaxis])[:, 0] == signal.forward(x)).all()
    assert (MaxPooling((1, 2)).forward(x[:, np.newaxis])[:, 0] == MaxPooling1D(2).forward(x)).all()
