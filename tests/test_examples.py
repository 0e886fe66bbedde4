"""What examples/ shows holds."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[1] / 'examples'


pytestmark = pytest.mark.usefixtures('compiled_kernels')


@pytest.fixture
def transfer():
    spec = importlib.util.spec_from_file_location('transfer_learning', EXAMPLES / 'transfer_learning.py')
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    return example


def test_what_was_learned_of_other_digits_helps(transfer, capsys):
    results = transfer.compare(samples_per_class=20, seeds=4, epochs=5)
    from_scratch, transferred = (accuracies for accuracies, *_ in results.values())
    assert transferred.mean() > from_scratch.mean() + 0.02
    assert from_scratch.mean() > 0.5


def test_convolutions_stay_and_the_head_is_new(transfer):
    rng = np.random.default_rng(0)
    x, y = rng.random((20, 28, 28, 1)), np.repeat(np.arange(5), 4)
    base = transfer.pretrained(x, y, seed=0)
    before = {name: parameter.value.copy() for name, parameter in base.parameters.items()}
    net = transfer.trained(transfer.with_new_head(base), x, y, 0.01, epochs=2)
    same = {name for name in before if np.array_equal(net.parameters[name].value, before[name])}
    assert same == {'weights_0', 'bias_0', 'weights_3', 'bias_3'}
    assert net.layers[-1].shape == (5,)


def test_the_command_prints_both_ways(transfer, capsys):
    transfer.main(['--samples-per-class', '2', '--seeds', '1', '--epochs', '1'])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ['test', 'from', 'transferred', 'gain']
    with pytest.raises(SystemExit):
        transfer.main(['--seeds', '0'])
