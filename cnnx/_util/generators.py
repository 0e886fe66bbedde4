"""Random generators of NumPy, as JSON can hold them, and back."""

import numpy as np

from cnnx._util.representation import as_json

# The random generators that can be saved, and the largest position in the numbers that they have drawn ahead.
BIT_GENERATORS = {'PCG64': 0, 'PCG64DXSM': 0, 'MT19937': 624, 'Philox': 4, 'SFC64': 0}


def describe_generator(generator):
    """Return a random generator's state as JSON can hold it, or raise a ValueError if it is none of NumPy's."""
    state = generator.bit_generator.state
    _known_generator(state)
    return as_json(state, 'generator')


def make_generator(state):
    """Return a generator of the kind that a state is of, which goes on from there.

    Raises:
        LookupError, OverflowError, TypeError, ValueError: it is no state of one of NumPy's generators.
    """
    kind = _known_generator(state)
    # NumPy does not look at it, and would read beyond its numbers.
    position = state.get('buffer_pos', dict(state['state']).get('pos', 0))
    if not 0 <= position <= BIT_GENERATORS[kind]:
        raise ValueError(f'generator: expected a position of at most {BIT_GENERATORS[kind]}, got {position}')
    bit_generator = getattr(np.random, kind)(0)
    bit_generator.state = state
    return np.random.Generator(bit_generator)


def _known_generator(state):
    kind = state['bit_generator']
    if kind not in BIT_GENERATORS:
        raise ValueError(f'generator: expected one of {", ".join(BIT_GENERATORS)}, got {kind!r}')
    return kind
