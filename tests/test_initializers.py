"""Initializers: the first weights."""

from functools import partial

import numpy as np
import pytest
from models import bits

from cnnx import Convolutional, Dense, Network
from cnnx.initializers import (
    INITIALIZERS,
    describe_initializer,
    get_initializer,
    glorot_normal,
    glorot_uniform,
    he_normal,
    he_uniform,
    lecun_normal,
    normal,
    orthogonal,
    uniform,
)

SHAPE = (5, 5, 20, 50)


def draw(initializer, dtype='float64'):
    return initializer(np.random.default_rng(0), SHAPE, dtype)


@pytest.mark.parametrize(
    ('initializer', 'variance'), [(he_normal, 2 / 500), (glorot_normal, 2 / (500 + 1250)), (lecun_normal, 1 / 500)]
)
def test_normal_initializers_have_the_variance_of_their_source(initializer, variance):
    values = draw(initializer)
    assert values.std() == pytest.approx(np.sqrt(variance), rel=0.02)
    assert abs(values.mean()) < 0.001
    assert abs(values).max() > 3.5 * values.std()


@pytest.mark.parametrize(
    ('initializer', 'limit'),
    [
        (he_uniform, np.sqrt(6 / 500)),
        (glorot_uniform, np.sqrt(6 / (500 + 1250))),
        (uniform, 0.05),
        (partial(uniform, limit=0.3), 0.3),
    ],
)
def test_uniform_initializers_have_the_limit_of_their_source(initializer, limit):
    values = draw(initializer)
    assert values.min() == pytest.approx(-limit, rel=0.001)
    assert values.max() == pytest.approx(limit, rel=0.001)
    assert values.var() == pytest.approx(limit**2 / 3, rel=0.02)


@pytest.mark.parametrize('shape', [(5, 5, 2, 16), (1, 2, 3, 16), (7, 7), (30, 8), (8, 30), (1, 1)])
def test_orthogonal_weights_are_a_matrix_whose_shorter_side_is_orthonormal(shape):
    weights = orthogonal(np.random.default_rng(0), shape, 'float64').reshape(-1, shape[-1])
    product = weights.T @ weights if len(weights) >= shape[-1] else weights @ weights.T
    np.testing.assert_allclose(product, np.eye(len(product)), atol=1e-12)


def test_orthogonal_matrices_are_uniformly_distributed():
    rng = np.random.default_rng(0)
    signs = [np.sign(np.diagonal(orthogonal(rng, (3, 3), 'float64'))) for _ in range(2000)]
    np.testing.assert_allclose(np.mean(signs, axis=0), 0, atol=0.08)


def test_normal_has_the_standard_deviation_asked_for():
    assert draw(partial(normal, standard_deviation=0.3)).std() == pytest.approx(0.3, rel=0.02)
    with pytest.raises(ValueError, match='standard_deviation'):
        draw(partial(normal, standard_deviation=-1))
    with pytest.raises(ValueError, match='limit'):
        draw(partial(uniform, limit=float('inf')))


@pytest.mark.parametrize('name', INITIALIZERS)
def test_float32_and_float64_start_from_the_same_numbers(name):
    initializer = get_initializer(name)
    assert (draw(initializer, 'float32') == draw(initializer).astype('float32')).all()


def test_names_and_functions_are_understood_and_described():
    assert get_initializer('he_normal') is he_normal
    assert describe_initializer(get_initializer('zeros')) == 'zeros'
    wide = partial(normal, standard_deviation=0.3)
    assert describe_initializer(wide) == {'name': 'normal', 'standard_deviation': 0.3}
    assert (draw(get_initializer(describe_initializer(wide))) == draw(wide)).all()


@pytest.mark.parametrize('wrong', ['he', None, 3, {'name': 'he'}, {}, ['normal']])
def test_an_unknown_name_lists_the_known_ones(wrong):
    with pytest.raises(ValueError, match=', '.join(INITIALIZERS)):
        Dense(2, 2, kernel_initializer=wrong)


def test_biases_start_at_zero_and_weights_do_not():
    layer = Convolutional(3, 2).set_up((4, 4, 1))
    assert (layer.bias == 0).all()
    assert (layer.weights != 0).all()


@pytest.mark.parametrize('result', [np.zeros((2, 3)), np.zeros((3, 2), int), 'text'])
def test_an_initializer_of_the_users_own_is_held_to_shape_and_dtype(result):
    with pytest.raises(ValueError, match=r'expected an array of floats of shape \(3, 2\)'):
        Dense(3, 2, kernel_initializer=lambda rng, shape, dtype: result).set_up()


def test_a_network_with_an_initializer_of_its_own_is_loaded(tmp_path):
    net = Network(seed=0)
    net.add(Dense(2, 2, kernel_initializer=lambda rng, shape, dtype: np.ones(shape, dtype)))
    net.save(tmp_path / 'net.npz')
    assert (Network.load(tmp_path / 'net.npz').layers[0].weights == 1).all()


def test_initializers_of_the_users_own_never_stop_a_save(tmp_path):
    def he_normal(rng, shape, dtype, scale):
        return np.full(shape, scale, dtype)

    wide = partial(normal, standard_deviation=np.float32(0.5))
    for initializer in (partial(he_normal, scale=2), partial(wide), wide):
        net = Network(seed=0)
        net.add(Dense(2, 2, kernel_initializer=initializer))
        net.save(tmp_path / 'net.npz')
        assert bits(Network.load(tmp_path / 'net.npz')) == bits(net)
