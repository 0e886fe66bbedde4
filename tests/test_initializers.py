from functools import partial

import numpy as np
import pytest

from cnnx import Convolutional, Dense
from cnnx.initializers import INITIALIZERS, describe_initializer, get_initializer, glorot_uniform, he_normal, normal

SHAPE = (5, 5, 20, 50)


def draw(initializer, dtype='float64'):
    return initializer(np.random.default_rng(0), SHAPE, dtype)


def test_he_normal_has_the_variance_of_its_source():
    values = draw(he_normal)
    assert values.std() == pytest.approx(np.sqrt(2 / 500), rel=0.02)
    assert abs(values.mean()) < 0.001


def test_glorot_uniform_has_the_limit_of_its_source():
    limit = np.sqrt(6 / (500 + 1250))
    values = draw(glorot_uniform)
    assert values.min() == pytest.approx(-limit, rel=0.001)
    assert values.max() == pytest.approx(limit, rel=0.001)
    assert values.var() == pytest.approx(limit**2 / 3, rel=0.02)


def test_normal_has_the_standard_deviation_asked_for():
    assert draw(partial(normal, standard_deviation=0.3)).std() == pytest.approx(0.3, rel=0.02)
    with pytest.raises(ValueError, match='standard_deviation'):
        draw(partial(normal, standard_deviation=-1))


@pytest.mark.parametrize('name', INITIALIZERS)
def test_float32_and_float64_start_from_the_same_numbers(name):
    initializer = get_initializer(name)
    assert (draw(initializer, 'float32') == draw(initializer).astype('float32')).all()


def test_names_and_functions_are_understood_and_told():
    assert get_initializer('he_normal') is he_normal
    assert describe_initializer(get_initializer('zeros')) == 'zeros'
    wide = partial(normal, standard_deviation=0.3)
    assert describe_initializer(wide) == {'name': 'normal', 'standard_deviation': 0.3}
    assert (draw(get_initializer(describe_initializer(wide))) == draw(wide)).all()


@pytest.mark.parametrize('wrong', ['he', None, 3, {'name': 'he'}, {}, ['normal']])
def test_an_unknown_name_lists_the_known_ones(wrong):
    with pytest.raises(ValueError, match='he_normal, glorot_uniform, normal, zeros'):
        Dense(2, 2, kernel_initializer=wrong)


def test_biases_start_at_zero_and_weights_do_not():
    layer = Convolutional(3, 2).build((4, 4, 1))
    assert (layer.bias == 0).all()
    assert (layer.weights != 0).all()


@pytest.mark.parametrize('result', [np.zeros((2, 3)), np.zeros((3, 2), int), 'text'])
def test_an_initializer_of_the_users_own_is_held_to_shape_and_dtype(result):
    with pytest.raises(ValueError, match=r'expected an array of floats of shape \(3, 2\)'):
        Dense(3, 2, kernel_initializer=lambda rng, shape, dtype: result).build()
