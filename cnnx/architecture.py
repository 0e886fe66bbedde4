"""A network's make-up as JSON can hold it, and back: layers, loss, optimizer, generator."""

import numpy as np

from cnnx._version import __version__
from cnnx.geometry import is_whole
from cnnx.initializers import INITIALIZERS
from cnnx.layers import LAYERS
from cnnx.losses import LOSSES
from cnnx.optimizers import OPTIMIZERS

# Of a parameter; kernels count in 64 bits.
MAX_UPDATES = 2**62


def describe(network):
    """Return architecture, loss, optimizer and the generator's state of a network."""
    return {
        'cnnx': __version__,
        'architecture': {'dtype': network.dtype.name, 'layers': [_describe_layer(layer) for layer in network.layers]},
        'loss': _describe_part(network.loss),
        'optimizer': _describe_part(network.optimizer),
        'generator': network.generator.bit_generator.state,
    }


def rebuild(network_class, description, arrays):
    """Make a network from what `describe` gave; its weights are still to be set.

    Layers are built only where their weights are among the arrays: a description of a few bytes can ask for
    layers of any size.

    Raises:
        LookupError, RuntimeError, TypeError, ValueError: it is not such a description, or not of these arrays.
    """
    network = network_class(dtype=description['architecture']['dtype'])
    for settings in description['architecture']['layers']:
        layer = _make_layer(settings)
        for name, shape in layer.parameter_shapes().items():
            name = f'{name}_{len(network.layers)}'
            if name not in arrays or arrays[name].shape != shape:
                found = arrays[name].shape if name in arrays else 'none'
                raise ValueError(f'{settings["kind"]}: expected {name} of shape {shape}, found {found}')
        network.add(layer)
    if description['loss'] is not None:
        network.compile(_make(LOSSES, description['loss']), _make(OPTIMIZERS, description['optimizer']))
    network.generator.bit_generator.state = checked_state(description['generator'])
    return network


def make_generator(state):
    """Return a generator that goes on from a state."""
    generator = np.random.default_rng(0)
    generator.bit_generator.state = state
    return generator


def checked_state(state):
    """Return a generator's state, or raise what a wrong one makes of it before a generator in use takes it."""
    return make_generator(state).bit_generator.state


def updates_of(description):
    """Return how many updates parameters have had, by name; an older file does not tell, and gives none.

    Raises:
        ValueError: one is no such number.
        TypeError: it is no description.
    """
    updates = dict(description.get('updates', {}))
    for name, count in updates.items():
        if not is_whole(count) or not 0 <= count <= MAX_UPDATES:
            raise ValueError(f'updates of {name}: expected a whole number from 0 to {MAX_UPDATES}, got {count!r}')
    return updates


def match_checkpoint(network, description, arrays):
    """Return the arrays that are a network's parameters and what its optimizer remembers of them, by name.

    Raises:
        ValueError: with the first difference, layer by layer.
        LookupError, TypeError: it is no description.
    """
    matching, theirs, updates = {}, description['architecture'], updates_of(description)
    # What the file has of no parameter begins anew: it was written before the first step, or with other settings.
    states = [name for name in network.optimizer.state_names if any(key.startswith(f'{name}_') for key in arrays)]
    for index, (layer, found) in enumerate(zip(network.layers, theirs['layers'], strict=False)):
        if found['kind'] != type(layer).__name__:
            raise ValueError(f'{layer.where}: expected {type(layer).__name__}, got {found["kind"]}')
        matching |= _match_layer(layer, index, arrays, states, updates)
        found = _describe_layer(_make_layer(found))
        for key, value in _describe_layer(layer).items():
            if key not in ('kernel_initializer', 'trainable') and value != found[key]:
                raise ValueError(f'{layer.where}: expected {key} {value}, got {found[key]}')
    for what, ours, other in (
        ('layers', len(network.layers), len(theirs['layers'])),
        ('dtype', network.dtype.name, theirs['dtype']),
        ('loss', _describe_part(network.loss), _describe_part(_make(LOSSES, description['loss']))),
        ('optimizer', type(network.optimizer).__name__, description['optimizer']['kind']),
    ):
        if ours != other:
            raise ValueError(f'{what}: expected {ours}, got {other}')
    return matching


def match_weights(layers, arrays):
    """Return the arrays that are the layers' parameters, by name.

    Raises:
        ValueError: one is missing, has another shape, holds no floats, or belongs to no layer.
    """
    matching = {}
    for index, layer in enumerate(layers):
        matching |= _match_layer(layer, index, arrays)
    prefixes = tuple({f'{name}_' for kind in LAYERS.values() for name in kind.parameter_names})
    surplus = [name for name in arrays if name.startswith(prefixes) and name not in matching]
    if surplus:
        raise ValueError(f'found {", ".join(sorted(surplus))}, for which this network has no layer')
    return matching


def _match_layer(layer, index, arrays, states=(), updates=None):
    """Return a layer's arrays, and of what optimizers remember of it what there is, or has to be."""
    matching = {}
    wanted = [(parameter, f'{parameter.name}_{index}') for parameter in layer.parameters]
    for parameter, name in wanted[:]:
        needed = updates and updates.get(name, 0) > 0
        wanted += [(parameter, f'{state}_{name}') for state in states if needed or f'{state}_{name}' in arrays]
    for parameter, name in wanted:
        expected = f'{layer.where}: expected {name} of shape {parameter.value.shape}'
        if name not in arrays:
            raise ValueError(f'{expected}, found none')
        if arrays[name].shape != parameter.value.shape:
            raise ValueError(f'{expected}, got {arrays[name].shape}')
        if arrays[name].dtype.kind != 'f':
            raise ValueError(f'{expected} to hold floats, got {arrays[name].dtype}')
        matching[name] = arrays[name]
    return matching


def _describe_layer(layer):
    settings = {
        'kind': type(layer).__name__,
        'input_shape': layer.input_shape,
        'trainable': bool(layer.trainable),
        **layer.settings(),
    }
    return {key: list(value) if isinstance(value, tuple) else value for key, value in settings.items()}


def _make_layer(description):
    settings = {**description, **_known_initializer(description)}
    trainable = settings.pop('trainable', True)
    layer = _make(LAYERS, settings)
    layer.trainable = bool(trainable)
    return layer


def _describe_part(part):
    return None if part is None else {'kind': type(part).__name__, **part.settings()}


def _known_initializer(settings):
    """Return a substitute for an initializer of the user's own, which a file cannot hold."""
    initializer = settings.get('kernel_initializer')
    name = initializer.get('name') if isinstance(initializer, dict) else initializer
    return {} if name is None or name in INITIALIZERS else {'kernel_initializer': 'zeros'}


def _make(kinds, settings):
    settings = dict(settings)
    return kinds[settings.pop('kind')](**settings)
