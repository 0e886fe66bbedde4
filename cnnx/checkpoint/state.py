"""State: a network as arrays and as what JSON can hold, and back: layers, loss, optimizer, generator."""

import json

import numpy as np

from cnnx._util.generators import describe_generator, make_generator
from cnnx._util.representation import as_json
from cnnx._util.validation import is_whole
from cnnx._version import __version__
from cnnx.initializers import INITIALIZERS
from cnnx.layers import LAYERS
from cnnx.losses import LOSSES
from cnnx.optimizers import OPTIMIZERS

# Of a parameter; kernels count in 64 bits.
MAX_UPDATES = 2**62
# How the names of parameters begin.
WEIGHTS = ('weights_', 'bias_', 'gamma_', 'beta_', 'running_mean_', 'running_variance_')
KINDS = {**LAYERS, **LOSSES, **OPTIMIZERS}


def weights(network):
    """Return the values of all parameters by name."""
    return {name: parameter.value for name, parameter in network.parameters.items()}


def arrays(network):
    """Return the values of all parameters, and the optimizer's state of each, by name."""
    states = {
        f'{state}_{name}': array
        for name, parameter in network.parameters.items()
        for state, array in parameter.state.items()
    }
    return {**weights(network), **states}


def describe(network):
    """Return architecture, loss, optimizer, generator's state and class names of a network, as JSON can hold them."""
    layers = [
        {**_describe_layer(layer), 'frozen_parameters': [p.name for p in layer.parameters if not p.trainable]}
        for layer in network.layers
    ]
    return {
        'cnnx': __version__,
        'architecture': {
            'dtype': network.dtype.name,
            'fused': network.fused,
            'layers': layers,
            'reads': as_json(network.reads, 'reads'),
        },
        'loss': _describe_part(network.loss),
        'optimizer': _describe_part(network.optimizer),
        'generator': describe_generator(network.generator),
        'class_names': network.class_names,
    }


def describe_training(network):
    """Return what `describe` does, and how many updates each parameter has had.

    That is 0 where the optimizer's state is not there yet: the count starts with it.
    """
    needed = set(network.optimizer.state_names)
    updates = {name: p.updates if needed <= p.state.keys() else 0 for name, p in network.parameters.items()}
    return {**describe(network), 'updates': updates}


def custom_kinds(network):
    """Return the names of classes of layers, loss and optimizer that are not cnnx's."""
    parts = [*network.layers, network.loss, network.optimizer]
    kinds = dict.fromkeys(type(part).__name__ for part in parts if part is not None and _kind(part) not in KINDS)
    return list(kinds)


def rebuild(network_class, description, arrays, custom_objects):
    """Make a network from what `describe`, or `describe_training`, gave, and its arrays.

    A layer's parameters are taken from the arrays: a description of a few bytes can ask for layers of any size.

    Raises:
        LookupError, RuntimeError, TypeError, ValueError: it is not such a description, or not of these arrays.
    """
    architecture = description['architecture']
    network = network_class(dtype=architecture['dtype'], fused=architecture['fused'])
    reads = _reads(architecture)
    network.class_names = description.get('class_names')
    for index, settings in enumerate(architecture['layers']):

        def weights_of_file(name, shape, kind=settings['kind'], index=index):
            name = f'{name}_{index}'
            if name not in arrays or arrays[name].shape != shape:
                found = arrays[name].shape if name in arrays else 'none'
                raise ValueError(f'{kind}: expected {name} of shape {shape}, found {found}')
            return arrays[name]

        layer = _make_layer(settings, custom_objects)
        network.add(layer, weights=weights_of_file, reads=reads[index])
        restore_trainable(layer, settings)
    assign(network, match_weights(network.layers, arrays))
    if description['optimizer'] is not None:
        loss = description['loss']
        network.compile(loss and _make(loss, custom_objects), _make(description['optimizer'], custom_objects))
        if 'updates' in description:
            _restore_optimizer_state(network, description, match_checkpoint(network, description, arrays))
    restore_generator(network, description['generator'])
    return network


def restore(network, arrays, description):
    """Give a network what `arrays` and `describe_training` gave of another one of its make.

    That is weights, optimizer state, counts of updates, generator, and which layers and parameters are frozen.

    Raises:
        LookupError, TypeError, ValueError: they belong to another network; nothing is changed then.
    """
    matching = match_checkpoint(network, description, arrays)
    restore_generator(network, description['generator'])
    if network.class_names is None:
        network.class_names = description.get('class_names')
    assign(network, matching)
    for layer, settings in zip(network.layers, description['architecture']['layers'], strict=True):
        restore_trainable(layer, settings)
    _restore_optimizer_state(network, description, matching)


def _reads(architecture):
    """Return which layers read which, of a described architecture; without a word of it, of a chain."""
    return architecture.get('reads', [[i - 1] for i in range(len(architecture['layers']))])


def assign(network, arrays):
    """Copy arrays, by name, into all parameters."""
    for name, parameter in network.parameters.items():
        parameter.value = arrays[name]


def _restore_optimizer_state(network, description, arrays):
    updates, states = updates_of(description), state_names(network, description)
    for name, parameter in network.parameters.items():
        parameter.state = {
            state: np.array(arrays[f'{state}_{name}'], network.dtype, order='C')
            for state in states
            if f'{state}_{name}' in arrays
        }
        parameter.updates = updates.get(name, 0)
    network.reset_update()


def restore_generator(network, state):
    """Have a network's generator go on from a state: the one that it has, where that is of the kind.

    Raises:
        LookupError, OverflowError, TypeError, ValueError: as `make_generator`; nothing is changed then.
    """
    generator = make_generator(state)
    if type(generator.bit_generator) is type(network.generator.bit_generator):
        network.generator.bit_generator.state = generator.bit_generator.state
    else:
        network.generator = generator


def restore_trainable(layer, description):
    """Freeze what was frozen when a layer was described, and no more.

    Raises:
        LookupError, TypeError: it is no description.
    """
    frozen = frozenset(description['frozen_parameters'])
    layer.trainable = bool(description['trainable'])
    for parameter in layer.parameters:
        parameter.trainable = parameter.name not in frozen


def updates_of(description):
    """Return how many updates parameters have had, by name.

    Raises:
        ValueError: one is no such number.
        TypeError: it is no description.
    """
    updates = dict(description['updates'])
    for name, count in updates.items():
        if not is_whole(count) or not 0 <= count <= MAX_UPDATES:
            raise ValueError(f'updates of {name}: expected a whole number from 0 to {MAX_UPDATES}, got {count!r}')
    return updates


def state_names(network, description):
    """Return the names of what a network's optimizer keeps of parameters, or kept with the described settings.

    Raises:
        LookupError, TypeError, ValueError: it is no description.
    """
    described = description['optimizer']
    then = _make(described).state_names if described['kind'] in OPTIMIZERS else ()
    return list(dict.fromkeys((*network.optimizer.state_names, *then)))


def check_names(network):
    """Raise a ValueError if a parameter has the name that checkpoints give to the optimizer's state of another."""
    parameters = network.parameters
    for state in network.optimizer.state_names:
        for name in parameters:
            if f'{state}_{name}' in parameters:
                raise ValueError(
                    f'parameter {state}_{name}: {type(network.optimizer).__name__} saves its state of {name} under '
                    'this name; give the parameter another one'
                )


def match_checkpoint(network, description, arrays):
    """Return the arrays that are a network's parameters, and its optimizer's state of them, by name.

    Raises:
        ValueError: with the first difference, layer by layer.
        LookupError, TypeError: it is no description.
    """
    matching, theirs, updates = {}, description['architecture'], updates_of(description)
    # A state that the file has of no parameter starts new: it is from before the first step, or of other settings.
    states = [
        state
        for state in state_names(network, description)
        if any(f'{state}_{name}' in arrays for name in network.parameters)
    ]
    for index, (layer, found) in enumerate(zip(network.layers, theirs['layers'], strict=False)):
        kind = _kind(layer)
        if found['kind'] != kind:
            raise ValueError(f'{layer.where}: expected {kind}, got {found["kind"]}')
        frozen = found['frozen_parameters']
        if not found['trainable']:
            frozen = [parameter.name for parameter in layer.parameters]
        matching |= _match_layer(layer, index, arrays, states, updates, frozen)
        for key, value in _describe_layer(layer).items():
            if key in ('kernel_initializer', 'trainable', *layer.adjustable):
                continue
            if key not in found or json.dumps(value) != json.dumps(found[key]):  # as text, NaN is NaN
                raise ValueError(f'{layer.where}: expected {key} {value}, got {found.get(key)}')
    for what, ours, other in (
        ('layers', len(network.layers), len(theirs['layers'])),
        ('what the layers read', as_json(network.reads, 'reads'), _reads(theirs)),
        ('dtype', network.dtype.name, theirs['dtype']),
        ('loss', *(_unadjusted(loss, network.loss) for loss in (_describe_part(network.loss), description['loss']))),
        ('optimizer', _kind(network.optimizer), description['optimizer']['kind']),
    ):
        if ours != other:
            raise ValueError(f'{what}: expected {ours}, got {other}')
    return matching


def adjusted(network, description):
    """Return what of layers and loss may be changed between two sessions of a run, and was: {name: (then, now)}.

    Args:
        network: the one that goes on.
        description: one that `match_checkpoint` has matched with it.
    """
    parts = [
        (f'{layer.where}: ', layer, _describe_layer(layer), found)
        for layer, found in zip(network.layers, description['architecture']['layers'], strict=True)
    ]
    parts.append(('', network.loss, _describe_part(network.loss), description['loss']))
    return {
        f'{where}{key}': (then[key], now[key])
        for where, part, now, then in parts
        for key in part.adjustable
        if key in then and then[key] != now[key]
    }


def _unadjusted(settings, part):
    return settings and {key: value for key, value in settings.items() if key not in part.adjustable}


def match_weights(layers, arrays):
    """Return the arrays that are the layers' parameters, by name.

    Raises:
        ValueError: one is missing, has another shape, holds no floats, or belongs to no layer.
    """
    matching = {}
    for index, layer in enumerate(layers):
        matching |= _match_layer(layer, index, arrays)
    surplus = [name for name in arrays if name.startswith(WEIGHTS) and name not in matching]
    if surplus:
        raise ValueError(f'found {", ".join(sorted(surplus))}, for which this network has no layer')
    return matching


def _match_layer(layer, index, arrays, states=(), updates=None, frozen=()):
    """Return a layer's arrays, and those of the optimizer's state that are there, or have to be."""
    matching = {}
    wanted = [(parameter, f'{parameter.name}_{index}') for parameter in layer.parameters]
    for parameter, name in wanted[:]:
        there = [state for state in states if f'{state}_{name}' in arrays]
        # Of what was frozen when the optimizer's state began, there is none.
        needed = updates and updates.get(name, 0) > 0 and (parameter.name not in frozen or there)
        wanted += [(parameter, f'{state}_{name}') for state in (states if needed else there)]
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
        'kind': _kind(layer),
        'input_shape': layer.input_shape,
        'trainable': layer.trainable,
        **layer.settings(),
    }
    return as_json(settings, layer.where)


def _make_layer(description, custom_objects):
    settings = {**description, **_known_initializer(description)}
    for name in ('trainable', 'frozen_parameters'):
        settings.pop(name)
    return _make(settings, custom_objects)


def _describe_part(part):
    return None if part is None else as_json({'kind': _kind(part), **part.settings()}, type(part).__name__)


def _kind(part):
    """Return the name of a part's class; of one that is not cnnx's but has such a name, with its module."""
    kind = type(part)
    return kind.__name__ if KINDS.get(kind.__name__, kind) is kind else f'{kind.__module__}.{kind.__qualname__}'


def _known_initializer(settings):
    """Return a substitute for an initializer of the user's own, which a file cannot hold."""
    initializer = settings.get('kernel_initializer')
    name = initializer.get('name') if isinstance(initializer, dict) else initializer
    return {} if name is None or name in INITIALIZERS else {'kernel_initializer': 'zeros'}


def _make(settings, custom_objects=()):
    """Return a layer, loss or optimizer from its description."""
    settings = dict(settings)
    kind, shape = settings.pop('kind'), settings.pop('input_shape', None)
    name = kind.rpartition('.')[2]
    if kind not in KINDS and name not in custom_objects:
        raise ValueError(f'it has a {name}, which is not of cnnx; give custom_objects={{{name!r}: {name}}}')
    part = (KINDS[kind] if kind in KINDS else custom_objects[name])(**settings)
    if shape is not None:
        part.input_shape = part.checked_input_shape(shape)
    return part
