"""cnnx config: what runs here."""

import cnnx
from cnnx.cli.main import main


def test_it_prints_what_show_config_does(capsys):
    assert main(['config']) == 0
    printed = capsys.readouterr().out
    cnnx.show_config()
    assert printed == capsys.readouterr().out != ''
