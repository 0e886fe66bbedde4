"""NumPy's random generators: new ones, and saving and restoring their state, as values that JSON can hold."""

import contextlib
import contextvars

import numpy as np

from cnnx._util.representation import as_json

# The bit generators that can be saved, each with the largest position in its buffer of numbers drawn ahead.
BIT_GENERATORS = {'PCG64': 0, 'PCG64DXSM': 0, 'MT19937': 624, 'Philox': 4, 'SFC64': 0}

_seed_here = contextvars.ContextVar('seed of new generators', default=None)


def new_generator(seed=None):
    """Return a `numpy.random.Generator`; where seed is None, by that of `seeded`, or else by one from the system."""
    return np.random.default_rng(_seed_here.get() if seed is None else seed)


@contextlib.contextmanager
def seeded(seed):
    """Have networks that are made inside a `with` block, without a seed of their own, take this one."""
    token = _seed_here.set(seed)
    try:
        yield
    finally:
        _seed_here.reset(token)


def describe_generator(generator):
    """Return the state of a `numpy.random.Generator` as values that JSON can hold.

    Raises:
        ValueError: its bit generator is not one of NumPy's.
    """
    state = generator.bit_generator.state
    _known_generator(state)
    return as_json(state, 'generator')


def make_generator(state):
    """Return a `numpy.random.Generator` that continues from a state which `describe_generator` returned.

    Raises:
        LookupError, OverflowError, TypeError, ValueError: it is not the state of one of NumPy's bit generators.
    """
    kind = _known_generator(state)
    # NumPy does not check the position, and would read beyond the end of its buffer.
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
