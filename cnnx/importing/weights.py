"""Weights of PyTorch and Keras for a network of cnnx: matched with its layers by order and shape, and rearranged."""

import re
from typing import NamedTuple

import numpy as np

from cnnx._util.hints import check_format
from cnnx.checkpoint import CheckpointError, state
from cnnx.checkpoint.layouts import LAYOUTS, orders, slots
from cnnx.importing.keras_order import keras_orders
from cnnx.importing.weight_files import HDF5, ending, read
from cnnx.layers import LAYERS

# Where an array comes in its layer, by the last part of its name.
ROLES = {
    **dict.fromkeys(('weight', 'kernel', 'depthwise_kernel', 'pointwise_kernel', 'gamma', 'alpha'), 0),
    **dict.fromkeys(('bias', 'beta'), 1),
    **dict.fromkeys(('running_mean', 'moving_mean'), 2),
    **dict.fromkeys(('running_var', 'moving_variance'), 3),
}
# Which kinds of layers the names that Keras gives by itself stand for.
KERAS_KINDS = {
    'batch_normalization': 'BatchNormalization',
    'conv1d': 'Convolutional1D',
    'conv2d': 'Convolutional',
    'conv2d_transpose': 'TransposedConvolutional',
    'dense': 'Dense',
    'depthwise_conv2d': 'Convolutional',
    'group_normalization': 'GroupNormalization',
    'layer_normalization': 'LayerNormalization',
    'p_re_lu': 'PReLU',
}
# Not of layers: what optimizers keep.
OPTIMIZER = re.compile(r'^(optimizer|optimizer_weights|_optimizer)\b')


class Module(NamedTuple):
    """The arrays of one layer of a file, in the order of a layer's parameters, and their names."""

    name: str
    arrays: list
    names: list


def load_weights(network, path, layout=None):
    """Take the weights from a file of PyTorch or Keras: .safetensors, .npz, or Keras's .h5.

    Raises:
        CheckpointError: the file is damaged, or its weights are not this network's; none is changed then.
        ImportError: the package that reads it is not installed.
        OSError: there is no such file, or it cannot be opened.
        ValueError: layout is none of these.
    """
    if layout is not None and layout not in LAYOUTS:
        raise ValueError(f'layout: expected one of {", ".join(LAYOUTS)}, or None, got {layout!r}')
    if ending(path) not in ('.safetensors', *HDF5):
        check_format(path, 'load_weights')
    arrays = read(path)
    try:
        found = match(network, arrays, layout) if layout else state.match_weights(network.layers, arrays)
        state.assign(network, found)
    except ValueError as error:
        raise CheckpointError(
            f'{path}: not the weights of this network: {error}{_hint(path, arrays, layout)}'
        ) from None


def _hint(path, arrays, layout):
    """Return what to add to an error about arrays that look like those of another library, or ''."""
    looks = 'keras' if ending(path) in HDF5 else looks_like(arrays)
    if looks is None or looks == layout:
        return ''
    return (
        f". Its names are those of {looks.replace('torch', 'PyTorch').replace('keras', 'Keras')}: give layout='{looks}'"
    )


def looks_like(arrays):
    """Return the layout whose names arrays have, or None."""
    last = {_parts(name)[-1] for name in arrays}
    if last & {'kernel', 'moving_mean', 'moving_variance', 'depthwise_kernel'}:
        return 'keras'
    return 'torch' if last & {'weight', 'running_mean', 'running_var'} else None


def match(network, arrays, layout):
    """Return the values of all parameters of a network, by name, from arrays of another library.

    Layers take modules in the order of the file, where all of them fit; those of Keras in the order in which it
    has the layers of a network that branches. Otherwise each takes the first one left that fits.

    Raises:
        ValueError: a layer finds none, or a module is left; both sides are named.
    """
    found, order = {}, orders(network)
    layers = [(layer, slots(layer, layout, _order_of(network, layer, order))) for layer in network.layers]
    layers, modules = _matched(list(_arranged(network, layers, arrays, layout)))
    for (layer, wanted), module in zip(layers, modules, strict=True):
        for slot, array in zip(wanted, module.arrays, strict=True):
            found[f'{slot.name}_{layer.index}'] = slot.ours(array)
    return found


def _matched(arranged):
    """Return the layers and a module for each, by the first order that fits, or raise a ValueError."""
    for layers, modules in arranged:
        if len(modules) == len(layers) and all(
            _fits(layer, wanted, module) for (layer, wanted), module in zip(layers, modules, strict=True)
        ):
            return layers, modules
    for layers, modules in arranged:  # files of Keras without an order have the layers of each kind numbered
        try:
            chosen = _assigned(layers, modules)
        except ValueError:
            continue
        if _in_order_of_kinds(chosen, modules):
            return layers, chosen
    layers, modules = arranged[-1]  # the network's own order
    return layers, _assigned(layers, modules)


def _in_order_of_kinds(chosen, modules):
    """Whether modules whose names differ by a number alone are chosen in the order of the file."""

    def of_kinds(modules):
        kinds = {}
        for module in modules:
            kinds.setdefault(re.sub(r'_?\d+', '', module.name), []).append(module.names)
        return kinds

    return of_kinds(chosen) == of_kinds(modules)


def _arranged(network, layers, arrays, layout):
    """Give the layers that have parameters in each order they may have in the file, and the modules beside them.

    Modules that are numbered, as `save_weights` does, are in the network's own order.
    """
    numbered = all(_parts(name)[0].isdecimal() for name in arrays)
    for order in keras_orders(network) if layout == 'keras' and not numbered else [range(len(layers))]:
        ordered = [layers[place] for place in order if layers[place][1]]
        yield ordered, _modules(arrays, [len(wanted) for _, wanted in ordered])


def _order_of(network, layer, order):
    return order.get(network.reads[layer.index][0])


def _assigned(layers, modules):
    """Return a module for each layer, the first one left that fits, or raise a ValueError."""
    chosen, left = [], list(modules)
    for layer, wanted in layers:
        module = next((module for module in left if _fits(layer, wanted, module)), None)
        if module is None:
            shapes = ', '.join(f'{slot.theirs} {slot.shape}' for slot in wanted)
            there = '; '.join(_shown(module) for module in left[:8]) or 'nothing'
            raise ValueError(f'{layer.where}: expected {shapes}; left in the file: {there}')
        left = [each for each in left if each is not module]
        chosen.append(module)
    if left:
        raise ValueError(f'no layer is left for {"; ".join(_shown(module) for module in left[:8])}')
    return chosen


def _fits(layer, wanted, module):
    name = re.sub(r'_\d+$', '', _parts(module.name)[-1])
    if LAYERS.get(KERAS_KINDS.get(name), type(layer)) is not type(layer):
        return False
    return len(wanted) == len(module.arrays) and all(
        slot.fits(array) for slot, array in zip(wanted, module.arrays, strict=True)
    )


def _shown(module):
    return ', '.join(f'{name} {array.shape}' for name, array in zip(module.names, module.arrays, strict=True))


def _parts(name):
    """Return a name without the version that Keras adds, ':0', cut at points and slashes."""
    return re.split(r'[./]', re.sub(r':\d+$', '', name))


def _modules(arrays, counts):
    """Return the modules of a file.

    Args:
        arrays: by name.
        counts: how many arrays the layers have, for files that number them all.
    """
    arrays = {name: array for name, array in arrays.items() if array.dtype.kind == 'f' and not OPTIMIZER.match(name)}
    if arrays and all(re.fullmatch(r'arr_\d+', name) for name in arrays):
        names = sorted(arrays, key=lambda name: int(name[4:]))
        ends = np.cumsum(counts)
        groups = [names[end - count : end] for end, count in zip(ends, counts, strict=True)]
        groups += [[name] for name in names[sum(counts) :]]
        return [Module('', [arrays[name] for name in group], group) for group in groups if group]
    modules = {}
    for name in arrays:
        *parts, last = _parts(name)
        if parts and parts[-1] == 'vars':
            parts.pop()
        modules.setdefault('/'.join(parts), []).append((ROLES.get(last, int(last) if last.isdecimal() else 9), name))
    found = []
    for key, roles in modules.items():
        names = [name for _, name in sorted(roles)]
        # A SeparableConv2D is two layers here.
        cut = 1 if re.sub(r'_\d+$', '', _parts(key)[-1]) == 'separable_conv2d' or _has_pointwise(names) else len(names)
        for part in (names[:cut], names[cut:]):
            if part:
                found.append(Module(key, [arrays[name] for name in part], part))
    return found


def _has_pointwise(names):
    return any(_parts(name)[-1] == 'pointwise_kernel' for name in names)
