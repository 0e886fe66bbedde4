"""Weights for other libraries: .safetensors files, and .npz files with the names and shapes of PyTorch or Keras."""

import numpy as np

from cnnx._util.hints import check_format
from cnnx.checkpoint import state, write, write_whole
from cnnx.checkpoint.layouts import LAYOUTS, orders, slots


def save_weights(network, path, layout=None):
    """Write the parameters to a .safetensors file, or to an .npz file, with names and shapes of a layout.

    Raises:
        ImportError: the package safetensors is not installed.
        OSError: the file cannot be written.
        ValueError: layout is none of these, or the name ends as other files do.
    """
    if layout is not None and layout not in LAYOUTS:
        raise ValueError(f'layout: expected one of {", ".join(LAYOUTS)}, or None, got {layout!r}')
    arrays = state.weights(network) if layout is None else named(network, layout)
    if not str(path).lower().endswith('.safetensors'):
        check_format(path, 'save_weights')
        write(path, arrays)
        return
    try:
        import safetensors.numpy
    except ImportError as error:
        message = f'.safetensors files need the package safetensors: pip install "cnnx[safetensors]" ({error})'
        raise ImportError(message) from None
    write_whole(path, safetensors.numpy.save({name: np.ascontiguousarray(array) for name, array in arrays.items()}))


def named(network, layout):
    """Return the values of all parameters as a layout has them, by names such as '0.weight' or '0/kernel'.

    The numbers are those of the layers: a `torch.nn.Sequential` of as many layers has the same.
    """
    arrays, order, dot = {}, orders(network), {'torch': '.', 'keras': '/'}[layout]
    for layer in network.layers:
        values = {parameter.name: parameter.value for parameter in layer.parameters}
        for slot in slots(layer, layout, order.get(network.reads[layer.index][0])):
            arrays[f'{layer.index}{dot}{slot.theirs}'] = slot.pack(values[slot.name])
    return arrays
