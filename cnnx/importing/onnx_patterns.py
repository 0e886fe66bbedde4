"""Several nodes of ONNX that stand for one: layer normalization, which older opsets have in its parts only."""

from collections import defaultdict

import numpy as np

from cnnx.importing.onnx_constants import axes_of, constant


def with_layer_normalization(nodes, constants, opset):
    """Return nodes, those that make (x - mean) / sqrt(variance + epsilon) along one axis as a LayerNormalization.

    Args:
        nodes: in order, a list of `Node`.
        constants: arrays by name.
        opset: of the file.
    """
    constants = dict(constants)
    readers = defaultdict(list)
    for node in nodes:
        if node.kind == 'Constant':
            constants[node.outputs[0]] = constant(node)
        for name in node.inputs:
            readers[name].append(node)
    replaced, dropped = {}, set()
    for node in nodes:
        parts = _parts(node, readers, constants, opset)
        if parts is not None:
            axis, epsilon, *inner, last = parts
            replaced[last.outputs] = last._replace(
                kind='LayerNormalization', inputs=node.inputs[:1], attributes={'axes': (axis,), 'epsilon': epsilon}
            )
            dropped |= {each.outputs for each in inner}
    return [replaced.get(node.outputs, node) for node in nodes if node.outputs not in dropped]


def _parts(mean, readers, constants, opset):
    """Return (axis, epsilon, nodes...) where a node is the mean of such a normalization, or None."""
    axis = _axis(mean, constants, opset)
    centred = _only(readers, mean, 'Sub')
    if axis is None or centred is None or centred.inputs != (mean.inputs[0], mean.outputs[0]):
        return None
    name = centred.outputs[0]
    squares = [node for node in readers[name] if _is_square(node, name, constants)]
    divisions = [node for node in readers[name] if node.kind == 'Div' and node.inputs[0] == name]
    if not squares or len(divisions) != 1 or len(readers[name]) != squares[0].inputs.count(name) + 1:
        return None
    variance = _only(readers, squares[0], 'ReduceMean')
    added = None if variance is None else _only(readers, variance, 'Add')
    root = None if added is None else _only(readers, added, 'Sqrt')
    division = None if root is None else _only(readers, root, 'Div')
    if division is not divisions[0] or _axis(variance, constants, opset) != axis:
        return None
    epsilon = next((constants[each] for each in added.inputs if each in constants), np.zeros(0))
    if np.size(epsilon) != 1:
        return None
    inner = mean, centred, squares[0], variance, added, root
    return axis, float(np.reshape(epsilon, -1)[0]), *inner, division


def _only(readers, node, kind):
    """Return the only reader of a node, if it is of that kind, or None."""
    found = {reader.outputs: reader for reader in readers[node.outputs[0]]}
    reader = next(iter(found.values())) if len(found) == 1 else None
    return reader if reader is not None and reader.kind == kind else None


def _axis(node, constants, opset):
    """Return the one axis of a ReduceMean that keeps it, or None."""
    if node.kind != 'ReduceMean' or not node.attributes.get('keepdims', 1):
        return None
    axes = axes_of(node, [None, *(constants.get(name) for name in node.inputs[1:2])], opset)
    return axes[0] if axes is not None and len(axes) == 1 else None


def _is_square(node, name, constants):
    if node.kind == 'Mul':
        return node.inputs == (name, name)
    return node.kind == 'Pow' and node.inputs[0] == name and np.all(constants.get(node.inputs[1], 0) == np.float32(2))


def with_padded_pooling(nodes, output):
    """Return the nodes, each MaxPool that alone reads a Pad of edge pixels with the Pad's pads as a second input.

    A window beyond the edge has the pixels at the edge in it, so that copies of them change no maximum. Keras pads so.
    """
    readers, pads = {output: 1}, {}
    for node in nodes:
        for name in node.inputs:
            readers[name] = readers.get(name, 0) + 1
        if node.kind == 'Pad' and node.attributes.get('mode') == 'edge' and len(node.inputs) > 1:
            pads[node.outputs[0]] = node
    found, used = [], set()
    for node in nodes:
        pad = pads.get(node.inputs[0]) if node.kind == 'MaxPool' else None
        if pad is not None and readers[pad.outputs[0]] == 1 and not any(node.attributes.get('pads', ())):
            used.add(pad.outputs[0])
            node = node._replace(inputs=pad.inputs[:2])
        found.append(node)
    return [node for node in found if node.outputs[0] not in used]
