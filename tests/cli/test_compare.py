"""cnnx compare: both backends, layer by layer."""

import re

import pytest

from cnnx.cli.main import main


@pytest.mark.usefixtures('compiled_kernels')
def test_both_backends_are_trained_and_compared(own, tmp_path, capsys):
    assert main(['compare', '--data', str(own / 'data.npz'), '--epochs', '2', '--schedule', 'cosine']) == 0
    out, err = capsys.readouterr()
    assert err == ''
    rows = re.findall(r'^(\d+ \w+|CategoricalCrossEntropy) +(\S+) +(\S+) .* \d+\.\dx$', out, re.MULTILINE)
    assert [name for name, *_ in rows][-3:] == ['11 Dense', '12 Softmax', 'CategoricalCrossEntropy']
    assert all(max(float(forward), float(backward)) < 1e-3 for _, forward, backward in rows)
    numpy, compiled = re.search(r'^epoch 2: loss +(\S+) +(\S+)$', out, re.MULTILINE).groups()
    assert float(numpy) == pytest.approx(float(compiled), abs=0.01)
    assert not list(tmp_path.iterdir())


def test_what_needs_validation_data_is_not_offered(capsys):
    with pytest.raises(SystemExit):
        main(['compare', '--schedule', 'plateau'])
    assert '--schedule: invalid choice' in capsys.readouterr().err
