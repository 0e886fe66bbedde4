"""The profile of a step, and its table."""

import numpy as np
import pytest
from models import bits, lenet5, network_with_training_modes, small_data, small_network

import cnnx
from cnnx.diagnostics.profiler import measure_peak


def image_data(n=8, seed=0):
    rng = np.random.default_rng(seed)
    return rng.random((n, 28, 28, 1), dtype=np.float32), rng.integers(0, 10, n)


def test_a_profile_has_a_row_a_block_and_counts_its_multiply_adds(capsys):
    rows, step = profile = lenet5().profile(*image_data(), batch_size=4, repeats=2)
    counts = {row.name: row.multiply_adds for row in rows}
    assert counts['0-2 Convolutional, ReLU, MaxPooling'] == 4 * 2 * 117_600
    assert counts['3-6 Convolutional, ReLU, MaxPooling, Flatten'] == 4 * 3 * 240_000
    assert counts['11 Dense'] == 4 * 3 * 840
    assert rows[-1].name == 'SGD'
    assert step > 0
    assert all(row.forward + row.backward > 0 for row in rows)
    printed = capsys.readouterr().out
    assert all(row.name in printed for row in rows)
    assert 'a step of 4 samples' in printed
    assert repr(profile) == f'<Profile: {len(rows)} rows, a step of {1e3 * step:.3f} ms>'


def test_a_profile_of_layers_that_no_block_runs_has_a_row_a_layer(capsys):
    net = small_network(activation=cnnx.BatchNormalization)
    rows, _ = net.profile(*small_data(), batch_size=8, repeats=1)
    assert [row.name for row in rows[:3]] == ['batch', '0 Convolutional', '1 BatchNormalization']


def test_a_profile_names_the_layers_of_each_block(capsys):
    net = small_network(activation=cnnx.Sigmoid)
    rows, _ = net.profile(*small_data(), batch_size=8, repeats=1)
    expected = ['batch', '0, 2 Convolutional, MaxPooling', '1, 3 Sigmoid, Flatten', '4 Dense', 'labels']
    assert [row.name for row in rows[:5]] == expected


def test_a_profile_leaves_weights_and_state_as_they_are(capsys):
    net = lenet5()
    x, y = image_data()
    net.train(x, y, epochs=1, verbose=0)
    before, velocity = bits(net), net.parameters['weights_0'].state['velocity'].copy()
    net.profile(x, y, repeats=1)
    assert bits(net) == before
    assert (net.parameters['weights_0'].state['velocity'] == velocity).all()


def test_a_profile_leaves_running_means_and_the_generator_as_they_are(capsys):
    net = network_with_training_modes()
    before, state = bits(net), net.generator.bit_generator.state
    net.profile(*small_data(), repeats=1)
    assert bits(net) == before
    assert net.generator.bit_generator.state == state


@pytest.mark.parametrize(('options', 'message'), [({'batch_size': 0}, 'batch_size'), ({'repeats': 0}, 'repeats')])
def test_bad_settings_are_refused(options, message):
    with pytest.raises(ValueError, match=f'{message}: expected a whole number of at least 1, got 0'):
        lenet5().profile(*image_data(), **options)
    with pytest.raises(RuntimeError, match='profile needs a loss'):
        cnnx.Network().profile(*image_data())


def test_the_peak_is_a_speed():
    assert measure_peak(1) > 1e7
    with pytest.raises(ValueError, match='threads: expected a whole number of at least 1, got 0'):
        measure_peak(0)
