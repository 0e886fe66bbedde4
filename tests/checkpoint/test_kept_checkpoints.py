"""Checkpoints of each released version are read, resumed from, and give the metrics that were written beside them."""

import json
import shutil

import kept_checkpoints as kept
import numpy as np
import pytest

import cnnx

VERSIONS = sorted(path.name for path in kept.FOLDER.iterdir() if path.is_dir())
# Tiers and backends differ in the last bits, and what is resumed goes on from there.
READ = {'float32': 1e-5, 'float64': 1e-9}
RESUMED = {'float32': 1e-3, 'float64': 1e-7}
each_version = pytest.mark.parametrize('version', VERSIONS)
each_case = pytest.mark.parametrize('name', kept.CASES)


def written(version, name):
    """Return where a checkpoint is kept, and its metrics."""
    path = cnnx.checkpoint.checkpoint_path(kept.FOLDER / version, name, kept.EPOCH, kept.BATCH)
    return path, json.loads((path.parent / kept.METRICS).read_text(encoding='utf-8'))[name]


def assert_close(got, expected, tolerance):
    assert got.keys() == expected.keys()
    for key in expected:
        np.testing.assert_allclose(got[key], expected[key], rtol=tolerance, atol=tolerance, err_msg=key)


def test_this_version_has_its_checkpoints():
    assert cnnx.__version__ in VERSIONS


@each_version
@each_case
def test_a_network_is_read(version, name):
    path, metrics = written(version, name)
    net = cnnx.Network.load(path)
    assert net.class_names is None
    assert_close(kept.metrics(net), metrics['saved'], READ[net.dtype.name])


@each_version
@each_case
@pytest.mark.filterwarnings('ignore:(backend|tier|cnnx|numpy) was .* up to here')
def test_a_run_is_resumed(version, name, tmp_path):
    path, metrics = written(version, name)
    shutil.copy(path, tmp_path)
    batches = []
    net, history = kept.train(name, tmp_path, lambda epoch, batch: batches.append((epoch, batch)))
    assert batches == [(3, 3), (4, 1), (4, 2), (4, 3)]
    tolerance = RESUMED[net.dtype.name]
    found = dict(history)
    if 'learning_rate' not in metrics['history']:
        assert np.isfinite(found.pop('learning_rate')).tolist() == [False, False, True, True]
    assert_close(found, metrics['history'], tolerance)
    assert_close(kept.metrics(net), metrics['resumed'], tolerance)


def test_a_version_that_is_to_be_released_can_write_its_own(tmp_path):
    kept.write(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        'changing_epoch_3_batch_2.npz',
        kept.METRICS,
        'plain_epoch_3_batch_2.npz',
    ]
    for path in tmp_path.iterdir():
        assert path.stat().st_size < 32_000
