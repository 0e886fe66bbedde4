"""cnnx look: pictures of what a saved network sees."""

import numpy as np
import pytest

import cnnx
from cnnx.cli import look
from cnnx.cli.main import main
from cnnx.data import preprocess_mnist_data

pytest.importorskip('matplotlib', reason='cnnx look needs matplotlib')


@pytest.fixture
def saved(tmp_path):
    """Save a small network for MNIST, trained a little, and a picture of a seven."""
    image = pytest.importorskip('PIL.Image', reason='reading pictures needs Pillow')
    layers = cnnx.Convolutional(2, 5, stride=2, input_shape=(28, 28, 1)), cnnx.ReLU(), cnnx.Flatten()
    net = cnnx.Network(
        [*layers, cnnx.Dense(output_size=8), cnnx.Tanh(), cnnx.Dense(output_size=10), cnnx.Softmax()], seed=0
    )
    net.compile(cnnx.CategoricalCrossEntropy())
    net.save('net.npz')
    (x, y), _ = preprocess_mnist_data()
    seven = x[int(y[:, 7].argmax()), ..., 0]
    image.fromarray((255 * (1 - seven)).astype(np.uint8)).resize((90, 90)).save('seven.png')


def is_picture(path):
    return path.read_bytes()[:4] == b'\x89PNG'


@pytest.mark.parametrize('what', look.OF_IMAGES)
def test_of_a_picture(saved, what, tmp_path, capsys):
    assert main(['look', 'net.npz', 'seven.png', '--what', what, '--plot', 'out.png']) == 0
    assert capsys.readouterr().out == 'drew out.png\n'
    assert is_picture(tmp_path / 'out.png')


@pytest.mark.parametrize('what', ['filters', *look.OF_DATA])
def test_of_the_network_and_of_test_images(saved, what, tmp_path):
    assert main(['look', 'net.npz', '--what', what, '--test-samples', '30']) == 0
    assert is_picture(tmp_path / 'look.png')


def test_the_layer_the_unit_and_the_class_can_be_chosen(saved, monkeypatch):
    calls = []
    for name in ('plot_gradcam', 'plot_top_activations', 'plot_conv_activity', 'plot_saliency'):
        monkeypatch.setattr(look.visual, name, lambda net, x, *rest, path, **more: calls.append((len(x), rest, more)))
    assert main(['look', 'net.npz', 'seven.png', 'seven.png', '--what', 'gradcam', '--class', '7', '--layer', '0']) == 0
    assert main(['look', 'net.npz', '--what', 'top-images', '--unit', '1', '--test-samples', '20']) == 0
    assert main(['look', 'net.npz', 'seven.png', '--layer', '3']) == 0
    assert main(['look', 'net.npz', 'seven.png', '--what', 'smoothgrad']) == 0
    assert calls == [
        (2, (7, 0), {}),
        (20, (1, 1), {}),
        (1, ([3],), {}),
        (1, (None,), {'smooth_samples': look.SMOOTH_SAMPLES}),
    ]


def test_names_of_classes(saved, monkeypatch, capsys):
    net = cnnx.Network.load('net.npz')
    net.class_names = tuple('abcdefghij')
    net.save('named.npz')
    labels = []
    monkeypatch.setattr(look.visual, 'plot_occlusion', lambda net, x, label, path: labels.append(label))
    assert main(['look', 'named.npz', 'seven.png', '--what', 'occlusion', '--class', 'c']) == 0
    assert labels == [2]
    assert main(['look', 'named.npz', 'seven.png', '--what', 'occlusion', '--class', '3']) == 2
    assert '--class 3: expected one of a, b, c' in capsys.readouterr().err


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (['net.npz'], '--what feature-maps: expected a picture after net.npz'),
        (['net.npz', 'seven.png', 'seven.png'], '--what feature-maps: expected one picture, got 2'),
        (['net.npz', 'seven.png', '--what', 'errors'], '--what errors: expected no picture, got seven.png'),
        (['net.npz', 'seven.png', '--unit', '1'], '--unit goes with --what top-images, not feature-maps'),
        (['net.npz', '--what', 'filters', '--class', '1'], '--class goes with --what saliency'),
        (['net.npz', 'seven.png', '--what', 'occlusion', '--layer', '1'], '--layer goes with --what filters'),
        (['net.npz', 'seven.png', '--layer', '70'], 'expected an index from -7 to 6, got 70'),
        (['net.npz', 'nowhere.png'], 'nowhere.png'),
        (['nowhere.npz', 'seven.png'], 'nowhere.npz'),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_a_line(saved, arguments, words, capsys):
    assert main(['look', *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith('cnnx look: ')
    assert words in error
    assert error.count('\n') == 1
