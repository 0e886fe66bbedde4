"""cnnx checkpoint: what it prints and returns."""

import sys

import numpy as np
import pytest
from models import small_data, small_network

from cnnx import checkpoint
from cnnx.cli import checkpoint as command
from cnnx.cli.main import main


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('checkpoints')
    net = small_network()
    net.train(*small_data(20), epochs=3, batch_size=8, verbose=0, checkpoint_dir=folder)
    return folder


def test_a_good_file(folder, capsys):
    assert main(['checkpoint', 'verify', str(folder / 'model_epoch_2.npz')]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f'good  {folder / "model_epoch_2.npz"}: a checkpoint after epoch 2, 8 arrays, ')
    for part in (
        'Convolutional(input_shape=[6, 6, 1]',
        "'momentum': 0.9",
        'weights_0: float32 (3, 3, 1, 3)',
        '  loss: ',
    ):
        assert part in out


def test_a_folder(folder, capsys):
    assert main(['checkpoint', 'verify', str(folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line[:4] for line in lines] == ['good', 'good', 'good', '3 ch']
    assert lines[-1] == '3 checkpoints, 0 damaged'


def test_a_folder_with_damage(folder, tmp_path, capsys):
    for epoch in (1, 2, 3):
        content = bytearray((folder / f'model_epoch_{epoch}.npz').read_bytes())
        content[-1] ^= epoch == 2
        (tmp_path / f'model_epoch_{epoch}.npz').write_bytes(content)
    assert main(['checkpoint', 'verify', str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert 'BAD   ' in out
    assert 'its checksum is wrong' in out
    assert out.endswith('3 checkpoints, 1 damaged\n')


@pytest.mark.parametrize('content', [b'', b'PK', b'hello' * 100])
def test_something_else(tmp_path, capsys, content):
    path = tmp_path / 'x.npz'
    path.write_bytes(content)
    assert main(['checkpoint', 'verify', str(path)]) == 1
    assert capsys.readouterr().out == f'BAD   {path}: not an .npz file\n'


def test_weights_networks_and_numbers_that_are_not_finite(tmp_path, capsys):
    net = small_network()
    net.layers[4].bias[0] = np.nan
    net.save_weights(tmp_path / 'w.npz')
    net.save(tmp_path / 'n.npz')
    assert main(['checkpoint', 'verify', str(tmp_path / 'w.npz')]) == 0
    assert main(['checkpoint', 'verify', str(tmp_path / 'n.npz')]) == 0
    out = capsys.readouterr().out
    assert 'w.npz: weights, 4 arrays' in out
    assert 'n.npz: a network, 4 arrays' in out
    assert 'bias_4: float32 (3,), NOT ALL FINITE' in out


@pytest.mark.parametrize(
    'description', [{'history': 3}, {'architecture': []}, {'run': 1, 'epoch': [], 'within_epoch': 1}]
)
def test_a_description_of_someone_else(tmp_path, capsys, description):
    checkpoint.write(tmp_path / 'x.npz', {}, description)
    assert main(['checkpoint', 'verify', str(tmp_path / 'x.npz')]) == 1
    assert 'its description is not one that cnnx writes' in capsys.readouterr().out


@pytest.mark.parametrize('description', [{'history': {'loss': [10**400]}}, {'history': {'loss': [None]}}])
def test_numbers_that_cannot_be_printed(tmp_path, capsys, description):
    checkpoint.write(tmp_path / 'x.npz', {}, description)
    assert main(['checkpoint', 'verify', str(tmp_path / 'x.npz')]) == 1
    assert 'its description is not one that cnnx writes' in capsys.readouterr().out


def test_nesting_too_deep_to_print(tmp_path, capsys):
    a, b = tmp_path / 'a.npz', tmp_path / 'b.npz'
    # Deep enough that comparing fails, and no deeper than JSON goes: Python 3.11 counts both against one limit.
    levels = 900 if sys.version_info < (3, 12) else 1200
    for path, end in ((a, 1), (b, 2)):
        for _ in range(levels):
            end = {'a': end}
        checkpoint.write(path, {}, {'settings': end})
    assert main(['checkpoint', 'verify', str(a)]) in (0, 1)
    assert main(['checkpoint', 'diff', str(a), str(b)]) == 1
    assert capsys.readouterr().out.endswith('the descriptions are nested too deeply to compare\n')


def test_a_file_of_someone_else(tmp_path, capsys):
    np.savez(tmp_path / 'numbers.npz', a=np.zeros(3))
    np.savez(tmp_path / 'text.npz', a=np.zeros(3), b=np.array(['x']))
    assert main(['checkpoint', 'verify', str(tmp_path / 'numbers.npz')]) == 0
    assert 'numbers.npz: no file of cnnx, but an .npz file of numbers, 1 arrays' in capsys.readouterr().out
    assert main(['checkpoint', 'verify', str(tmp_path / 'text.npz')]) == 1
    assert 'b.npy holds <U1, not numbers' in capsys.readouterr().out


def test_no_such_thing(tmp_path, capsys):
    assert main(['checkpoint', 'verify', str(tmp_path / 'nowhere')]) == 2
    assert main(['checkpoint', 'verify', str(tmp_path)]) == 2
    assert main(['checkpoint', 'diff', str(tmp_path / 'a'), str(tmp_path / 'b')]) == 2
    err = capsys.readouterr().err
    assert 'nowhere' in err
    assert 'no checkpoints' in err


def test_differences(folder, capsys):
    a, b = (str(folder / f'model_epoch_{epoch}.npz') for epoch in (1, 2))
    assert main(['checkpoint', 'diff', a, a]) == 0
    assert capsys.readouterr().out == 'the same\n'
    assert main(['checkpoint', 'diff', a, b]) == 1
    out = capsys.readouterr().out
    assert 'weights_0: 27 of 27 numbers differ, by up to ' in out
    assert 'epoch: 1 and 2' in out


def test_differences_of_kind(tmp_path, capsys):
    a, b = tmp_path / 'a.npz', tmp_path / 'b.npz'
    checkpoint.write(a, {'x': np.zeros(3), 'y': np.ones(2), 'z': np.array([1.0, np.nan])})
    checkpoint.write(b, {'x': np.zeros(4), 'w': np.ones(2), 'z': np.array([2.0, np.nan])})
    assert main(['checkpoint', 'diff', str(a), str(b)]) == 1
    assert capsys.readouterr().out.splitlines() == [
        'w: only in the second',
        'x: float64 (3,) and float64 (4,)',
        'y: only in the first',
        'z: 2 of 2 numbers differ, by up to 1',
    ]
    b.write_bytes(b'no')
    assert main(['checkpoint', 'diff', str(a), str(b)]) == 2


def test_a_checkpoint_that_is_removed_meanwhile_is_skipped(folder, tmp_path, capsys, monkeypatch):
    (tmp_path / 'model_epoch_1.npz').write_bytes((folder / 'model_epoch_1.npz').read_bytes())
    found = {tmp_path / 'model_epoch_1.npz': (1, 0), tmp_path / 'model_epoch_2.npz': (2, 0)}
    monkeypatch.setattr(command, 'checkpoints', lambda folder: found)
    assert main(['checkpoint', 'verify', str(tmp_path)]) == 0
    assert capsys.readouterr().out.endswith('1 checkpoints, 0 damaged\n')
    (tmp_path / 'model_epoch_2.npz').symlink_to('nowhere.npz')
    assert main(['checkpoint', 'verify', str(tmp_path)]) == 1
    assert capsys.readouterr().out.endswith('2 checkpoints, 1 damaged\n')
