"""cnnx export: a saved network as a file for other programs."""

import numpy as np
import pytest
from models import small_network

from cnnx.cli.main import main
from cnnx.data import preprocess_mnist_data
from cnnx.models import pretrained


@pytest.fixture
def model(tmp_path):
    small_network().save(tmp_path / 'net.npz')
    return str(tmp_path / 'net.npz')


def test_it_writes_what_export_writes(tmp_path, model):
    pytest.importorskip('onnx')
    small_network().export(tmp_path / 'expected.onnx', opset=17, layout='NCHW')
    assert main(['export', model, str(tmp_path / 'net.onnx'), '--option', 'opset=17', '-o', 'layout=NCHW']) == 0
    assert (tmp_path / 'net.onnx').read_bytes() == (tmp_path / 'expected.onnx').read_bytes()


def test_options_of_loading_an_onnx_file(tmp_path):
    onnx = pytest.importorskip('onnx')
    small_network().export(tmp_path / 'net.onnx', layout='NCHW')
    proto = onnx.load(tmp_path / 'net.onnx')
    for size in proto.graph.input[0].type.tensor_type.shape.dim[2:]:
        size.dim_param = 'open'
    onnx.save(proto, tmp_path / 'net.onnx')
    name = next(node.output[0] for node in proto.graph.node if node.op_type == 'Relu')
    files = [str(tmp_path / 'net.onnx'), str(tmp_path / 'net.c')]
    assert main(['export', *files]) == 2
    assert main(['export', *files, '-o', 'input_shape=(6, 6, 1)', '-o', f'output={name}']) == 0
    assert 'NET_INPUTS 36' in (tmp_path / 'net.h').read_text()
    assert 'NET_OUTPUTS 10' not in (tmp_path / 'net.h').read_text()


def test_samples_for_integers_are_files(tmp_path, model):
    x = np.random.default_rng(0).random((20, 6, 6, 1), np.float32)
    np.savez(tmp_path / 'x.npz', x=x, y=np.zeros(20, int))
    np.save(tmp_path / 'x.npy', x[3:])
    small_network().export(tmp_path / 'net.c', precision='int8', calibrate=x, samples=x[3:])
    expected = (tmp_path / 'net.c').read_text()
    options = 'precision=int8', f'calibrate={tmp_path / "x.npz"}', f'samples={tmp_path / "x.npy"}'
    (tmp_path / 'net.c').unlink()
    assert (
        main(['export', model, str(tmp_path / 'net.c'), *(text for option in options for text in ('-o', option))]) == 0
    )
    assert (tmp_path / 'net.c').read_text() == expected


def test_bundled_samples(tmp_path):
    net = pretrained('lenet5-mnist')
    net.save(tmp_path / 'digits.npz')
    net.export(tmp_path / 'digits.c', precision='int8', calibrate=preprocess_mnist_data()[0][0][:500])
    expected = (tmp_path / 'digits.c').read_text()
    (tmp_path / 'digits.c').unlink()
    files = [str(tmp_path / name) for name in ('digits.npz', 'digits.c')]
    assert main(['export', *files, '-o', 'precision=int8', '-o', 'calibrate=bundled']) == 0
    assert (tmp_path / 'digits.c').read_text() == expected


@pytest.mark.parametrize(
    ('file', 'option', 'message'),
    [
        ('net.pt', [], 'export: expected a name that ends with .onnx'),
        ('other.npz', [], 'save(path) writes .npz files'),
        ('net.onnx', ['-o', 'opset'], 'expected NAME=VALUE'),
        ('net.onnx', ['-o', 'no_such=1'], "unexpected keyword argument 'no_such'"),
        ('net.c', ['-o', 'precision=int8'], "precision='int8' needs calibrate"),
        ('net.c', ['-o', 'samples=no_such.npy'], 'No such file'),
        ('net.c', ['-o', 'samples=no_such.npz'], 'No such file'),
        ('net.c', ['-o', f'samples={__file__}'], 'samples: expected bundled, FILE.npz or FILE.npy, got '),
        ('net.c', ['-o', 'samples=bundled'], 'samples: expected at least one, (N, 6, 6, 1), got (500, 28, 28, 1)'),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, model, file, option, message, capsys):
    assert main(['export', model, str(tmp_path / file), *option]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / file).exists()
