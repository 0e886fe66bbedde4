"""Files of a network: save and load, with its architecture or the weights alone."""

import warnings

from cnnx._util.hints import check_format, hint_of_names
from cnnx._util.validation import true_or_false
from cnnx.checkpoint import state
from cnnx.checkpoint.errors import CheckpointError, as_checkpoint_error
from cnnx.checkpoint.files import read, write


def save_weights(network, path):
    """Write the parameters to an .npz file: `weights_{i}`, `bias_{i}` and so on, i being a layer's index.

    Raises:
        OSError: the file cannot be written.
        ValueError: the name ends as files of another library do: .h5, .pt, ...
    """
    check_format(path, 'save_weights')
    write(path, state.weights(network))


def load_weights(network, path):
    """Take the weights from a file of `save_weights`, or of `save`, or from a checkpoint.

    Raises:
        CheckpointError: the file is damaged, or its weights are not this network's; none is changed then.
        OSError: there is no such file, or it cannot be opened.
    """
    check_format(path, 'load_weights')
    arrays, _ = read(path)
    try:
        state.assign(network, state.match_weights(network.layers, arrays))
    except ValueError as error:
        raise CheckpointError(f'{path}: not the weights of this network: {error}{hint_of_names(arrays)}') from None


def save(network, path, optimizer_state=False):
    """Write weights, architecture, names of classes, loss, optimizer and the generator's state to an .npz file.

    Where `load` will need `custom_objects`, a warning says so.

    Args:
        network: a `cnnx.Network`.
        path: the file.
        optimizer_state: whether to write what the optimizer keeps of past steps, too: with it, a training loop of
            one's own goes on exactly as if it had not been interrupted.

    Raises:
        OSError: the file cannot be written.
        TypeError: a setting of a layer, loss or optimizer is not what JSON can hold.
    """
    check_format(path, 'save')
    if true_or_false(optimizer_state, 'optimizer_state') and network.optimizer is None:
        raise RuntimeError('save: optimizer_state needs an optimizer; call compile first')
    arrays = state.arrays(network) if optimizer_state else state.weights(network)
    description = state.describe_training(network) if optimizer_state else state.describe(network)
    write(path, arrays, description)
    if custom := state.custom_kinds(network):
        objects = ', '.join(f'{name!r}: {name}' for name in custom)
        warnings.warn(f'{path}: Network.load needs custom_objects={{{objects}}}', UserWarning, stacklevel=2)


def load(network_class, path, custom_objects=None, fused=None):
    """Make a network from a file of `save`, or from a checkpoint.

    Args:
        network_class: `cnnx.Network`, or a subclass.
        path: the file.
        custom_objects: classes of layers, losses and optimizers of your own, by their names: {'Swish': Swish}.
        fused: whether neighbouring layers run as one block; None for what the file has.

    Raises:
        CheckpointError: the file is damaged, holds no architecture, or needs other custom_objects.
        OSError: there is no such file, or it cannot be opened.
    """
    custom_objects = {} if custom_objects is None else custom_objects
    if not isinstance(custom_objects, dict) or not all(isinstance(kind, type) for kind in custom_objects.values()):
        raise TypeError(f"custom_objects: expected classes by name, {{'Swish': Swish}}, got {custom_objects!r:.60}")
    check_format(path, 'load')
    arrays, description = read(path)
    if 'architecture' not in description:
        raise CheckpointError(
            f'{path}: holds no architecture; for a file of weights alone, build the network and use load_weights'
        )
    with as_checkpoint_error(path, 'cannot build its network'):
        network = state.rebuild(network_class, description, arrays, custom_objects)
    if fused is not None:
        network.fused = fused
    return network
