"""cnnx export: a saved network as a file for other programs."""

import pytest
from models import small_network

from cnnx.cli.main import main


@pytest.fixture
def model(tmp_path):
    small_network().save(tmp_path / 'net.npz')
    return str(tmp_path / 'net.npz')


def test_it_writes_what_export_writes(tmp_path, model):
    pytest.importorskip('onnx')
    small_network().export(tmp_path / 'expected.onnx', opset=17, layout='NCHW')
    assert main(['export', model, str(tmp_path / 'net.onnx'), '--option', 'opset=17', '-o', 'layout=NCHW']) == 0
    assert (tmp_path / 'net.onnx').read_bytes() == (tmp_path / 'expected.onnx').read_bytes()


@pytest.mark.parametrize(
    ('file', 'option', 'message'),
    [
        ('net.pt', [], 'export: expected a name that ends with .onnx'),
        ('other.npz', [], 'save(path) writes .npz files'),
        ('net.onnx', ['-o', 'opset'], 'expected NAME=VALUE'),
        ('net.onnx', ['-o', 'no_such=1'], "unexpected keyword argument 'no_such'"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, model, file, option, message, capsys):
    assert main(['export', model, str(tmp_path / file), *option]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / file).exists()
