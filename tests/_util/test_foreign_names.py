"""Names of other libraries: none hides what cnnx has, and what the lines name is there."""

import functools
import inspect
import re

import pytest

import cnnx
from cnnx._util import foreign_names
from cnnx.layers import LAYERS
from cnnx.losses import NAMES as LOSSES
from cnnx.optimizers import OPTIMIZERS

TABLES = {name: table for name, table in vars(foreign_names).items() if name.isupper() and isinstance(table, dict)}


def test_no_name_hides_one_of_cnnx():
    assert not foreign_names.NAMES.keys() & {*cnnx.__all__, *dir(cnnx.losses)}
    assert not foreign_names.OF_NETWORK.keys() & {name for name in dir(cnnx.Network) if name != '__getattr__'}
    assert not foreign_names.OF_LAYER.keys() & set(dir(cnnx.Layer))
    assert not foreign_names.OF_OPTIMIZER.keys() & set(dir(cnnx.Optimizer))
    assert not foreign_names.LOSSES.keys() & LOSSES.keys()


@pytest.mark.parametrize(
    ('function', 'keywords'),
    [
        (cnnx.Network, foreign_names.NETWORK_KEYWORDS),
        (cnnx.Network.compile, foreign_names.COMPILE_KEYWORDS),
        (cnnx.Network.train, foreign_names.TRAIN_KEYWORDS),
        (cnnx.Network.evaluate, foreign_names.EVALUATE_KEYWORDS),
        (cnnx.Network.predict, foreign_names.EVALUATE_KEYWORDS),
        *((kind, foreign_names.SCHEDULE_KEYWORDS) for kind in cnnx.schedules.SCHEDULES[1:]),
        (cnnx.callbacks.EarlyStopping, foreign_names.CALLBACK_KEYWORDS),
        (cnnx.callbacks.BestCheckpoint, foreign_names.CALLBACK_KEYWORDS),
        *((kind, foreign_names.OPTIMIZER_KEYWORDS) for kind in OPTIMIZERS.values()),
    ],
)
def test_no_keyword_hides_an_argument(function, keywords):
    assert not inspect.signature(function).parameters.keys() & keywords.keys()


def test_what_the_lines_name_is_there():
    known = cnnx.Network, cnnx.Network.train, cnnx.Network.compile, cnnx.Network.forward, cnnx.CategoricalCrossEntropy
    known = (*known, *LAYERS.values(), *OPTIMIZERS.values(), *cnnx.schedules.SCHEDULES, cnnx.callbacks.EarlyStopping)
    known = set().union(
        *(inspect.signature(function).parameters for function in (*known, cnnx.callbacks.BestCheckpoint))
    )
    for line in {line for table in TABLES.values() for line in table.values()}:
        for path in re.findall(r'\bcnnx\.([\w.]*\w)', line):
            assert functools.reduce(getattr, path.split('.'), cnnx), line
        assert known.issuperset(re.findall(r'\b(\w+)=', line)), line
        assert set(re.findall(r'(?<!\.)\b([A-Z]\w+)\(', line)) <= set(dir(cnnx)), line
