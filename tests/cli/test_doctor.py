"""cnnx doctor: its report, and its status."""

from cnnx.cli.main import main

SMALL = ('--train-samples', '96', '--test-samples', '40')


def test_what_works_gives_status_0_and_nothing_is_saved(tmp_path, capsys):
    assert main(['doctor', *SMALL]) == 0
    assert 'no problems found' in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_a_learning_rate_that_is_too_high_is_found_and_gives_status_1(tmp_path, capsys):
    assert main(['doctor', *SMALL, '--learning-rate', '50', '--batch-size', '16']) == 1
    out = capsys.readouterr().out
    assert out.startswith('error: The learning rate 50 is too high')
    assert '96 samples, batch size 16' in out
    assert not list(tmp_path.iterdir())
