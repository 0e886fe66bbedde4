"""A network's make-up as JSON can hold it, and back: layers, loss, optimizer, generator."""

import json

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


def describe(network):
    """Return architecture, loss, optimizer and the generator's state of a network."""
    layers = [
        {**_describe_layer(layer), 'frozen_parameters': [p.name for p in layer.parameters if not p.trainable]}
        for layer in network.layers
    ]
    return {
        'cnnx': __version__,
        'architecture': {'dtype': network.dtype.name, 'layers': layers},
        'loss': _describe_part(network.loss, LOSSES),
        'optimizer': _describe_part(network.optimizer, OPTIMIZERS),
        'generator': describe_generator(network.generator),
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
        restore_trainable(layer, settings)
    if description['loss'] is not None:
        network.compile(_make(LOSSES, description['loss']), _make(OPTIMIZERS, description['optimizer']))
    restore_generator(network, description['generator'])
    return network


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
    """Freeze what a layer's description tells, and set the rest free; an older file tells of no single parameters.

    Raises:
        TypeError: it is no description.
    """
    frozen = _frozen_parameters(description)
    layer.trainable = bool(description.get('trainable', True))
    if frozen is not None:
        for parameter in layer.parameters:
            parameter.trainable = parameter.name not in frozen


def _frozen_parameters(description):
    names = description.get('frozen_parameters')
    return None if names is None else frozenset(names)


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


def state_names(network, description):
    """Return what a network's optimizer remembers of parameters, or did with the settings that are described.

    Raises:
        LookupError, TypeError, ValueError: it is no description.
    """
    described = description['optimizer']
    then = _make(OPTIMIZERS, described).state_names if described['kind'] in OPTIMIZERS else ()
    return list(dict.fromkeys((*network.optimizer.state_names, *then)))


def check_names(network):
    """Raise a ValueError if a parameter is called what a checkpoint calls an optimizer's memory of another one."""
    parameters = network.parameters
    for state in network.optimizer.state_names:
        for name in parameters:
            if f'{state}_{name}' in parameters:
                raise ValueError(
                    f'parameter {state}_{name}: {type(network.optimizer).__name__} saves under this name what it '
                    f'remembers of {name}; give the parameter another one'
                )


def match_checkpoint(network, description, arrays):
    """Return the arrays that are a network's parameters and what its optimizer remembers of them, by name.

    Raises:
        ValueError: with the first difference, layer by layer.
        LookupError, TypeError: it is no description.
    """
    matching, theirs, updates = {}, description['architecture'], updates_of(description)
    # What the file has of no parameter begins anew: it was written before the first step, or with other settings.
    states = [
        state
        for state in state_names(network, description)
        if any(f'{state}_{name}' in arrays for name in network.parameters)
    ]
    for index, (layer, found) in enumerate(zip(network.layers, theirs['layers'], strict=False)):
        kind = _kind(layer, LAYERS)
        if found['kind'] != kind:
            raise ValueError(f'{layer.where}: expected {kind}, got {found["kind"]}')
        frozen = _frozen_parameters(found) or ()
        if not found.get('trainable', True):
            frozen = [parameter.name for parameter in layer.parameters]
        matching |= _match_layer(layer, index, arrays, states, updates, frozen)
        if found['kind'] in LAYERS:  # where settings of older files get their defaults
            found = _describe_layer(_make_layer(found))
        for key, value in _describe_layer(layer).items():
            if key in ('kernel_initializer', 'trainable', *layer.adjustable):
                continue
            if key not in found or json.dumps(value) != json.dumps(found[key]):  # as text, NaN is NaN
                raise ValueError(f'{layer.where}: expected {key} {value}, got {found.get(key)}')
    for what, ours, other in (
        ('layers', len(network.layers), len(theirs['layers'])),
        ('dtype', network.dtype.name, theirs['dtype']),
        ('loss', *(_unadjusted(loss, network.loss) for loss in _losses(network, description))),
        ('optimizer', _kind(network.optimizer, OPTIMIZERS), description['optimizer']['kind']),
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
    parts.append(('', network.loss, *_losses(network, description)))
    return {
        f'{where}{key}': (then[key], now[key])
        for where, part, now, then in parts
        for key in part.adjustable
        if key in then and then[key] != now[key]
    }


def _losses(network, description):
    """Return the descriptions of a network's loss and of the described one."""
    return _describe_part(network.loss, LOSSES), _completed(description['loss'])


def _unadjusted(settings, part):
    return {key: value for key, value in settings.items() if key not in part.adjustable}


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


def _match_layer(layer, index, arrays, states=(), updates=None, frozen=()):
    """Return a layer's arrays, and of what optimizers remember of it what there is, or has to be."""
    matching = {}
    wanted = [(parameter, f'{parameter.name}_{index}') for parameter in layer.parameters]
    for parameter, name in wanted[:]:
        there = [state for state in states if f'{state}_{name}' in arrays]
        # Of what was frozen when the optimizer got what it remembers, there is none of it.
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
        'kind': _kind(layer, LAYERS),
        'input_shape': layer.input_shape,
        'trainable': bool(layer.trainable),
        **layer.settings(),
    }
    return as_json(settings, layer.where)


def _make_layer(description):
    settings = {**description, **_known_initializer(description)}
    for name in ('trainable', 'frozen_parameters'):
        settings.pop(name, None)
    return _make(LAYERS, settings)


def _describe_part(part, kinds):
    return None if part is None else as_json({'kind': _kind(part, kinds), **part.settings()}, type(part).__name__)


def _kind(part, kinds):
    """Return the name of a part's kind; of one of the user's own that is called as one of cnnx, with its module."""
    kind = type(part)
    return kind.__name__ if kinds.get(kind.__name__, kind) is kind else f'{kind.__module__}.{kind.__qualname__}'


def _completed(loss):
    """Return a loss's description with the settings that it has from before they were there."""
    return _describe_part(_make(LOSSES, loss), LOSSES) if loss['kind'] in LOSSES else loss


def _known_initializer(settings):
    """Return a substitute for an initializer of the user's own, which a file cannot hold."""
    initializer = settings.get('kernel_initializer')
    name = initializer.get('name') if isinstance(initializer, dict) else initializer
    return {} if name is None or name in INITIALIZERS else {'kernel_initializer': 'zeros'}


def _make(kinds, settings):
    settings = dict(settings)
    kind = settings.pop('kind')
    if kind not in kinds:
        raise ValueError(f'{kind} is none of cnnx; build the network as it was built, and use load_weights')
    return kinds[kind](**settings)
