"""The text of source and header."""

import numpy as np
import pytest

import cnnx
from cnnx.export.c_files import name_of, samples_for_test


def test_name_of():
    assert name_of('models/my-net.c') == 'my_net'
    with pytest.raises(ValueError, match='stdint.h is the name of a standard header'):
        name_of('stdint.c')


def test_random_samples_have_few_digits():
    net = cnnx.Network([cnnx.Dense(4, 2)])
    samples = samples_for_test(net, None)
    assert samples.shape == (5, 4)
    assert (samples == np.round(samples * 1000).astype(np.float32) / np.float32(1000)).all()


def test_the_first_five_samples_are_taken():
    x = np.random.default_rng(0).normal(size=(9, 4))
    assert (samples_for_test(cnnx.Network([cnnx.Dense(4, 2)]), x) == x[:5].astype(np.float32)).all()


def test_numbers_that_are_too_large(tmp_path):
    net = cnnx.Network([cnnx.Dense(4, 2)], dtype='float64')
    net.layers[0].bias[...] = 1e38
    net.layers[0].weights[...] = 3e38
    with pytest.raises(ValueError, match='the network gives NaN or infinity for the first of them'):
        net.export(tmp_path / 'net.c')
    net.layers[0].weights[...] = 1e300
    with pytest.raises(ValueError, match='fit into float32, got one that is too large'):
        net.export(tmp_path / 'net.c')
    assert not list(tmp_path.iterdir())


def test_the_header_can_be_read_alone(tmp_path):
    net = cnnx.Network([cnnx.Dense(4, 2)])
    net.class_names = ['cat', 'dog']
    net.export(tmp_path / 'pets.c')
    header = (tmp_path / 'pets.h').read_text()
    for line in (
        '#define PETS_INPUTS 4',
        '#define PETS_OUTPUTS 2',
        '#define PETS_CLASSES 2',
        'extern const char *const pets_classes[2];',
        'void pets_predict(const float in[4], float out[2]);',
        'extern "C" {',
    ):
        assert line in header
