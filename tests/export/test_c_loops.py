"""The loops of each step: outputs of C against those of the network, for each layer and each way to join layers."""

import export_cases
import numpy as np
import pytest
from compiled_c import call, load

from cnnx.export.c_loops import blocks, in_blocks


@pytest.fixture(scope='module')
def library(tmp_path_factory):
    """Return all networks in C, in floats, as one library."""
    folder = tmp_path_factory.mktemp('floats')
    for name in export_cases.NAMES:
        export_cases.network(name).export(folder / f'{name}.c')
    return load(folder.glob('*.c'), folder)


@pytest.mark.parametrize('name', export_cases.NAMES)
def test_outputs_are_those_of_the_network(name, library):
    net = export_cases.network(name)
    x = export_cases.samples(net)
    expected = net.predict(x)
    outputs = call(getattr(library, f'{name}_predict'), x, net.layers[-1].shape)
    assert np.abs(outputs - expected).max() <= 1e-5 * np.abs(expected).max()


def test_a_nan_wins_in_pooling_and_passes_activations(library):
    net = export_cases.network('relu_max')
    x = export_cases.samples(net)
    x[:, 3, 3, 0] = np.nan
    expected = np.isnan(net.predict(x))
    outputs = call(library.relu_max_predict, x, net.layers[-1].shape)
    assert expected.any()
    assert not expected.all()
    assert (np.isnan(outputs) == expected).all()


def test_blocks_cover_all_filters_once():
    for filters in range(1, 200):
        for most in (8, 16):
            covered = [
                f
                for first, width, count in blocks(filters, most)
                for b in range(count)
                for f in range(first + b * width, first + (b + 1) * width)
            ]
            assert covered == [*range(filters)]
            assert max(width for _, width, _ in blocks(filters, most)) <= most


def test_weights_in_blocks_are_all_weights():
    weights = np.arange(3 * 2 * 2 * 34).reshape(3, 2, 2, 34)
    assert sorted(in_blocks(weights, 1, 16)) == [*range(weights.size)]
    block = in_blocks(weights, 2, 16)[: 17 * 12]  # of the first of two groups
    assert set(block) == set(weights[..., :17].reshape(-1))
