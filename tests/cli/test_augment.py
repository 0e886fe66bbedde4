"""cnnx augment: the picture of augmented digits."""

import pytest

from cnnx.augmentation import AUGMENTATIONS
from cnnx.cli import augment
from cnnx.cli.main import main


def test_it_draws_a_row_for_each_kind(tmp_path, capsys):
    pytest.importorskip('matplotlib')
    assert main(['augment', '--show', 'a.png']) == 0
    assert capsys.readouterr().out == 'drew a.png\n'
    assert (tmp_path / 'a.png').read_bytes()[:4] == b'\x89PNG'
    kinds = {type(augmentation).__name__ for row in augment.ROWS.values() for augmentation in row}
    assert kinds == AUGMENTATIONS.keys()


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        (['--show', 'a.txt'], '--show: expected a file ending in .png'),
        (['--show', 'no/such/a.png'], 'in a folder that exists, got no/such/a.png'),
        (['--show', 'a.png', '--seed', '-1'], '--seed: expected a whole number of at least 0'),
        ([], '--show'),
    ],
)
def test_what_cannot_be_drawn_is_refused(options, words, capsys):
    with pytest.raises(SystemExit) as exit:
        main(['augment', *options])
    assert exit.value.code == 2
    assert words in capsys.readouterr().err
