"""Random generators as JSON, and back."""

import json

import numpy as np
import pytest

from cnnx._util.generators import BIT_GENERATORS, describe_generator, make_generator, new_generator, seeded


@pytest.mark.parametrize('kind', BIT_GENERATORS)
@pytest.mark.parametrize('drawn', [0, 1, 7])
def test_a_generator_goes_on_with_its_numbers_after_json(kind, drawn):
    generator = np.random.Generator(getattr(np.random, kind)(3))
    generator.random(drawn, 'float32')
    state = json.loads(json.dumps(describe_generator(generator)))
    again = make_generator(state)
    assert type(again.bit_generator).__name__ == kind
    np.testing.assert_array_equal(again.random(1000, 'float32'), generator.random(1000, 'float32'))


def test_a_generator_that_is_none_of_numpys_is_refused_with_those_that_there_are():
    class Own(np.random.PCG64):
        @property
        def state(self):
            return {'bit_generator': 'Own'}

    with pytest.raises(ValueError, match="generator: expected one of PCG64, .*, got 'Own'"):
        describe_generator(np.random.Generator(Own()))
    with pytest.raises(ValueError, match="generator: expected one of PCG64, .*, got 'Own'"):
        make_generator({'bit_generator': 'Own'})


@pytest.mark.parametrize(('kind', 'where'), [('MT19937', ('state', 'pos')), ('Philox', ('buffer_pos',))])
@pytest.mark.parametrize('position', [-1, 10**6])
def test_a_position_beyond_the_numbers_of_a_generator_is_refused(kind, where, position):
    state = describe_generator(np.random.Generator(getattr(np.random, kind)(0)))
    *path, last = where
    inner = state
    for key in path:
        inner = inner[key]
    inner[last] = position
    with pytest.raises(ValueError, match=f'generator: expected a position of at most .*, got {position}'):
        make_generator(state)


def test_networks_without_a_seed_take_that_of_the_block():
    def first_numbers(seed=None):
        return new_generator(seed).random(3).tolist()

    with seeded(5):
        assert first_numbers() == first_numbers() == np.random.default_rng(5).random(3).tolist()
        assert first_numbers(6) == np.random.default_rng(6).random(3).tolist()
        with seeded(7):
            assert first_numbers() == np.random.default_rng(7).random(3).tolist()
    assert first_numbers() != first_numbers()
