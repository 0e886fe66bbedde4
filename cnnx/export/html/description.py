"""What the page has to know of a network: its layers as JSON, its parameters as bytes."""

import numpy as np

from cnnx.layers import LAYERS
from cnnx.losses import BinaryCrossEntropy, CategoricalCrossEntropy

PRECISIONS = ('float32', 'float16')
# Settings of layers that the forward pass reads.
SETTINGS = ('groups', 'negative_slope', 'alpha', 'beta', 'scale', 'offset', 'max_value', 'epsilon', 'axes', 'axis')


def describe(network, precision='float32'):
    """Return (description, content): what JSON can hold of a network, and the bytes of its parameters.

    The description has the layers in order, each with kind, place, what it reads, shapes, window, settings, and where
    its parameters stand in the bytes. Layers over signals (L, C) and rows (C,) get images of one row.

    Args:
        network: a `cnnx.Network`.
        precision: of weights, 'float32' or 'float16'; biases and other parameters are float32.

    Raises:
        ValueError: the network has a layer of your own, an input or an output that the page cannot draw, or weights
            that float16 cannot hold.
    """
    if precision not in PRECISIONS:
        raise ValueError(f'precision: expected one of {", ".join(PRECISIONS)}, got {precision!r}')
    if not network.layers:
        raise ValueError('export: the network has no layers; add some first')
    shape = network.input_shape
    if len(shape) != 3 or shape[2] not in (1, 3):
        raise ValueError(
            f'export: a page draws on images (height, width, 1 or 3); this network takes {shape}; for other programs '
            'write an .onnx or a .c file'
        )
    last = network.layers[-1]
    if len(last.shape) not in (1, 3):
        raise ValueError(f'{last.where}: a page shows outputs (size,) or (height, width, channels), got {last.shape}')
    content = bytearray()
    layers = [_layer(*each, content, precision) for each in zip(network.layers, network.reads, strict=True)]
    for layer in layers:
        if len(layer['shape']) > 3:
            where = network.layers[layer['index']].where
            raise ValueError(f'{where}: a page shows arrays of at most three axes, got {tuple(layer["shape"])}')
    return {'input': list(shape), 'output': _answer(network), 'layers': layers}, bytes(content)


def _layer(layer, reads, content, precision):
    kind = type(layer).__name__
    if LAYERS.get(kind) is not type(layer):
        raise ValueError(f'{layer.where}: export knows the layers of cnnx, not those of your own')
    inputs = layer.input_shape if layer.merges else (layer.input_shape,)
    found = {
        'kind': kind,
        'index': layer.index,
        'reads': list(reads),
        'inputs': [list(shape) for shape in inputs],
        'shape': list(layer.shape),
        'image': _as_image(inputs[0]),
        'output': _as_image(layer.shape),
        'parameters': {
            parameter.name: _place(parameter, content, precision, layer.where) for parameter in layer.parameters
        },
    }
    found |= {name: getattr(layer, name) for name in SETTINGS if getattr(layer, name, None) is not None}
    if hasattr(layer, 'window'):
        found['window'] = _names(layer.window)
    if getattr(layer, 'factor', None) is not None:
        found['factor'] = layer.factor.ravel().tolist()
    if kind in ('ZeroPadding', 'Cropping'):
        (top, _), (left, _) = layer.padding if kind == 'ZeroPadding' else layer.cropping
        found['corner'] = [top, left]
    if kind == 'UpSampling':
        found |= {'size': list(layer.size), 'interpolation': layer.interpolation}
    return found


def _as_image(shape):
    """Return a shape of at most three axes with ones before it, as JSON holds it."""
    return [*(1,) * (3 - len(shape)), *shape]


def _names(window):
    """Return a window by the names that JavaScript has."""
    first, *rest = zip(window._fields, window, strict=True)
    named = dict([first, *rest])
    return {
        ''.join(part.capitalize() if i else part for i, part in enumerate(name.split('_'))): size
        for name, size in named.items()
    }


def _place(parameter, content, precision, where):
    """Append a parameter to the bytes, and return its type, shape and place."""
    kind = precision if parameter.name == 'weights' else 'float32'
    with np.errstate(over='ignore'):
        array = parameter.value.astype('<f4' if kind == 'float32' else '<f2')
    if not np.isfinite(array).all():
        hint = "; use precision='float32'" if kind == 'float16' else ''
        raise ValueError(f'{where}: {parameter.name}: expected finite numbers, as {kind} holds them{hint}')
    start = len(content)
    content += array.tobytes()
    content += bytes(-len(content) % 4)
    return {'type': kind, 'shape': list(array.shape), 'start': start}


def _answer(network):
    """Return how the page reads the output: as 'probabilities', 'logits', 'logarithms', 'yes or no' or 'numbers'."""
    last, loss = network.layers[-1], network.loss
    kind = type(last).__name__
    of_classes = isinstance(loss, CategoricalCrossEntropy)
    if kind == 'Softmax':
        return 'probabilities'
    if kind == 'LogSoftmax':
        return 'logarithms'
    if of_classes:
        return 'logits' if loss.from_logits else 'probabilities'
    if isinstance(loss, BinaryCrossEntropy) and last.shape == (1,) and not getattr(loss, 'from_logits', False):
        return 'yes or no'
    return 'numbers'
