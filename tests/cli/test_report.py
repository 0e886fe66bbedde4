"""cnnx report: the classification report of a saved network."""

import pytest

from cnnx import Convolutional, Dense, Flatten, Network, Softmax
from cnnx.cli.main import main
from cnnx.data import preprocess_mnist_data
from cnnx.diagnostics.classification_report import ClassificationReport
from cnnx.models import lenet5


@pytest.fixture
def saved(tmp_path):
    net = lenet5(seed=0)
    net.save(tmp_path / 'net.npz')
    return net


def test_the_report_is_that_of_the_test_images(saved, capsys):
    assert main(['report', 'net.npz', '--test-samples', '50']) == 0
    _, (x, y) = preprocess_mnist_data()
    assert capsys.readouterr().out == f'{ClassificationReport(saved, x[:50], y[:50])}\n'


def test_of_held_out_images(saved, capsys):
    assert main(['report', 'net.npz', '--hold-out', '30']) == 0
    (x, y), _ = preprocess_mnist_data()
    assert capsys.readouterr().out == f'{ClassificationReport(saved, x[-30:], y[-30:])}\n'


def test_the_report_is_drawn(saved, tmp_path, capsys):
    pytest.importorskip('matplotlib')
    assert main(['report', 'net.npz', '--plot', 'report.png']) == 0
    assert capsys.readouterr().out.endswith('drew report.png\n')
    assert (tmp_path / 'report.png').read_bytes().startswith(b'\x89PNG')


@pytest.mark.parametrize(('options', 'samples'), [([], 30), (['--all'], 150)])
def test_of_images_of_ones_own_scaled_to_what_the_network_takes(own, tmp_path, options, samples, capsys):
    net = Network(seed=0)
    for layer in (Convolutional(2, 3, input_shape=(12, 10, 3)), Flatten(), Dense(output_size=3), Softmax()):
        net.add(layer)
    net.save(tmp_path / 'net.npz')
    assert main(['report', 'net.npz', '--data', str(own / 'pictures'), *options]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sorted(lines[0].split()[3:]) == ['one', 'two', 'zero']
    assert sum(int(cell) for line in lines[1:4] for cell in line.split()[1:]) == samples


def test_images_are_reported_by_the_names_that_the_network_has(own, tmp_path, capsys):
    """The folders are in another order than the network's outputs, and one class is missing."""
    net = Network(seed=0)
    for layer in (Convolutional(2, 3, input_shape=(12, 10, 3)), Flatten(), Dense(output_size=4), Softmax()):
        net.add(layer)
    net.class_names = ('zero', 'one', 'three', 'two')
    net.save(tmp_path / 'net.npz')
    assert main(['report', 'net.npz', '--data', str(own / 'pictures'), '--all']) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[3:] == ['zero', 'one', 'three', 'two']
    counts = {name: len(list((own / 'pictures' / name).iterdir())) for name in ('zero', 'one', 'two')} | {'three': 0}
    assert {line.split()[0]: sum(map(int, line.split()[1:])) for line in lines[1:5]} == counts
    net.class_names = ('zero', 'one', 'three', 'four')
    net.save(tmp_path / 'net.npz')
    assert main(['report', 'net.npz', '--data', str(own / 'pictures')]) == 2
    assert 'expected images of its classes, zero, one, three, four, got one, two, zero' in capsys.readouterr().err


def test_numbered_classes_are_those_of_the_outputs(saved, tmp_path, capsys):
    named = Network.load(tmp_path / 'net.npz')
    named.class_names = tuple('abcdefghij')
    named.save(tmp_path / 'net.npz')
    assert main(['report', 'net.npz']) == 0
    assert capsys.readouterr().out.splitlines()[0].split()[3:] == list('abcdefghij')


def test_a_network_that_does_not_fit_is_refused_in_a_line(own, saved, tmp_path, capsys):
    assert main(['report', 'net.npz', '--data', str(own / 'data.npz')]) == 2
    net = Network(seed=0)
    net.add(Dense(4, 3))
    net.save(tmp_path / 'dense.npz')
    assert main(['report', 'dense.npz']) == 2
    assert main(['report', 'nowhere.npz']) == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 3
    for error, words in zip(
        errors,
        ('expected 3 outputs, one a class, got (10,)', 'expected a network for images', 'nowhere.npz'),
        strict=True,
    ):
        assert error.startswith('cnnx report: ')
        assert words in error


def test_all_goes_with_images_of_ones_own(capsys):
    with pytest.raises(SystemExit):
        main(['report', 'net.npz', '--all'])
    assert '--all goes with --data' in capsys.readouterr().err
