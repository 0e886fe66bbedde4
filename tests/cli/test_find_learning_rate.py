"""cnnx find-learning-rate: the suggestion, and its plot."""

import re

import pytest

from cnnx.cli.main import main


def test_a_learning_rate_is_suggested_and_nothing_saved(tmp_path, capsys):
    assert main(['find-learning-rate']) == 0
    out = capsys.readouterr().out
    assert re.match(r'suggested learning rate: 0\.0\d+\nthe loss fell from [\d.]+ to [\d.]+, ', out)
    assert not list(tmp_path.iterdir())


def test_the_losses_at_learning_rates_are_drawn(tmp_path, capsys):
    pytest.importorskip('matplotlib')
    options = ['--batch-size', '96', '--train-samples', '96', '--plot', 'rates.svg']
    assert main(['find-learning-rate', *options]) == 0
    assert 'drew rates.svg' in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ['rates.svg']


def test_a_batch_that_is_too_large_is_refused(capsys):
    assert main(['find-learning-rate', '--train-samples', '96', '--batch-size', '97']) == 2
    assert capsys.readouterr().err == (
        'cnnx find-learning-rate: batch_size: expected at most 96, the number of samples, got 97\n'
    )
