"""Activations: what each layer gives for samples."""

import numpy as np

from cnnx._util.arrays import as_kernels_read
from cnnx._util.foreign_names import EVALUATE_KEYWORDS
from cnnx._util.hints import explained
from cnnx._util.validation import is_whole, positive_int, shown
from cnnx.execution.layer_passes import LayerPasses


@explained(EVALUATE_KEYWORDS)
def activations(network, x, layers=None, batch_size=256):
    """Return what each layer gives for samples, as in prediction: a list of arrays (N, *layer.shape).

    `net.activations(x)[i]` belongs to `net.layers[i]`; the last one is what `predict` returns, within rounding. The
    layers run one by one, on copies, in fused networks too: the network stays as it is.

        for layer, maps in zip(net.layers, net.activations(x), strict=True):
            print(layer.where, maps.shape, maps.mean())

    All arrays are in memory at once: for many samples, name the layers that are wanted.

    Args:
        network: a `cnnx.Network`.
        x: samples (N, ...).
        layers: the indices of the layers that are wanted, in this order, such as [0, -2], negative ones counted from
            the end; None for all.
        batch_size: samples to a pass.

    Raises:
        RuntimeError: the network has no layers.
        ValueError: x does not fit the first layer, or there is no such layer.
    """
    plan = network.plan
    x = network.check_samples(x, 'x')
    batch_size = positive_int(batch_size, 'batch_size')
    wanted = range(len(network.layers)) if layers is None else [layer_index(network, i) for i in layers_of(layers)]
    count = max(wanted, default=-1) + 1  # no layer after the last that is wanted need run
    with plan.lock:
        passes = LayerPasses(network.layers[:count], network.reads[:count])
    found = [np.empty((len(x), *network.layers[i].shape), network.dtype) for i in wanted]
    for first in range(0, len(x), batch_size):
        outputs = passes.forward(as_kernels_read(x[first : first + batch_size], network.dtype))
        for array, i in zip(found, wanted, strict=True):
            array[first : first + batch_size] = outputs[i]
    return found


def layers_of(layers):
    """Return a list of indices of layers, or raise a ValueError."""
    if not isinstance(layers, (list, tuple, range)):
        raise ValueError(f'layers: expected a list of indices such as [0, -2], or None, got {shown(layers)}')
    return layers


def layer_index(network, index, name='layers'):
    """Return the index of a layer, counted from the first, or raise a ValueError that names the argument."""
    count = len(network.layers)
    if not is_whole(index) or not -count <= index < count:
        raise ValueError(f'{name}: expected an index from {-count} to {count - 1}, got {shown(index)}')
    return range(count)[index]
