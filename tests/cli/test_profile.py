"""cnnx profile: the table of a training step."""

import pytest
from loss_cases import CASES, network
from models import small_network

import cnnx
from cnnx.cli.main import main


def test_it_profiles_lenet5(capsys):
    assert main(['profile', '--batch-size', '2', '--repeats', '1', '--threads', '1']) == 0
    assert 'a step of 2 samples on 1 threads' in capsys.readouterr().out


@pytest.mark.parametrize('loss', [cnnx.CategoricalCrossEntropy, cnnx.MeanSquaredError, None])
def test_it_profiles_a_saved_network(tmp_path, loss, capsys):
    net = small_network()
    net.add(net.pop())  # which leaves it without a loss
    if loss is not None:
        net.compile(loss())
    net.save(tmp_path / 'net.npz')
    assert main(['profile', '--model', 'net.npz', '--repeats', '1', '--batch-size', '4']) == 0
    assert '4 Dense' in capsys.readouterr().out


@pytest.mark.parametrize('name', CASES)
def test_it_profiles_every_loss(tmp_path, name, capsys):
    network(name).save(tmp_path / 'net.npz')
    assert main(['profile', '--model', 'net.npz', '--repeats', '1', '--batch-size', '4']) == 0
    assert ' Convolutional, ReLU' in capsys.readouterr().out


def test_what_cannot_be_profiled_is_refused(capsys):
    assert main(['profile', '--model', 'nowhere.npz']) == 2
    assert 'nowhere.npz' in capsys.readouterr().err
    for option in ('--batch-size', '--repeats', '--threads'):
        with pytest.raises(SystemExit):
            main(['profile', option, '0'])
        assert f'{option}: expected a whole number of at least 1' in capsys.readouterr().err
