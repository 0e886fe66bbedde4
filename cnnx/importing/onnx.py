"""ONNX: a network from a file of another library, as layers of cnnx that can be trained. Needs the extra `onnx`."""

import json
import math

from cnnx._util.windows import shape_of_sample
from cnnx.checkpoint import CheckpointError, as_checkpoint_error
from cnnx.checkpoint.errors import DAMAGE
from cnnx.importing import onnx_file
from cnnx.importing.draft import MOST_NUMBERS, Draft, Value
from cnnx.importing.merging import merge_steps
from cnnx.importing.onnx_call import Call
from cnnx.importing.onnx_constants import constant, fold
from cnnx.importing.onnx_operators import OPERATORS
from cnnx.importing.onnx_patterns import with_layer_normalization, with_padded_pooling
from cnnx.layers import Flatten, Reshape

# What keeps the order of axes, where the first Transpose of a file is looked for.
BEFORE_TRANSPOSE = {'Add', 'Cast', 'Clip', 'Div', 'Identity', 'Mul', 'Pad', 'Relu', 'Slice', 'Sub'}
# What reads images (N, C, H, W).
CHANNELS_FIRST = {
    *('AveragePool', 'BatchNormalization', 'Conv', 'ConvTranspose', 'GlobalAveragePool', 'GlobalMaxPool', 'MaxPool'),
    *('GroupNormalization', 'InstanceNormalization'),
}


def load(network_class, path, *, input_shape=None, output=None, fused=None):
    """Make a network from an .onnx file.

    Args:
        network_class: `cnnx.Network`, or a subclass.
        path: the file.
        input_shape: of one sample, such as (28, 28, 1), where the file leaves sizes open.
        output: the name of the output, where the file has several, or of what a node gives, to leave out what follows.
        fused: whether neighbouring layers run as one block; None for yes.

    Raises:
        CheckpointError: the file is damaged, or holds what cnnx does not have; the error names the node.
        ImportError: the package onnx is not installed.
        OSError: there is no such file, or it cannot be opened.
        ValueError: input_shape is no shape, or output no text.
    """
    if input_shape is not None:
        input_shape = shape_of_sample(input_shape, 'input_shape')
    if output is not None and not isinstance(output, str):
        raise ValueError(f'output: expected the name of an output, got {output!r}')
    model = onnx_file.read(path, output)
    with as_checkpoint_error(path, 'cannot build its network'):
        network = _build(network_class, path, model, input_shape)
    if fused is not None:
        network.fused = fused
    return network


def _build(network_class, path, model, input_shape):
    value, batch = _input(model, input_shape)
    draft = Draft(value.sizes)
    known = {**model.constants, model.input[0]: value}
    for node in with_padded_pooling(with_layer_normalization(model.nodes, model.constants, model.opset), model.output):
        try:
            given = _run(draft, node, known, model, batch)
            known.update(zip(node.outputs, given if isinstance(given, list) else [given], strict=False))
        except DAMAGE as error:
            raise CheckpointError(f'{path}: {node.where}: {error}') from error
    output = known.get(model.output)
    if not isinstance(output, Value):
        raise CheckpointError(f'{path}: output {model.output!r} does not depend on the input')
    place = _arrange_output(draft, output)
    if place < 0:  # a network has a layer
        place = draft.add(Flatten(), place)
        place = draft.add(Reshape(draft.input_shape), place)
    place = merge_steps(draft, place)
    network = draft.build(network_class, place, 'float64' if model.input[2] == 'DOUBLE' else 'float32')
    network.class_names = _class_names(network, model.metadata)
    return network


def _run(draft, node, known, model, batch):
    """Return what a node gives: an array, a `Value`, or a list of values, one for each output."""
    if node.kind == 'Constant':
        return constant(node)
    unknown = [name for name in node.inputs if name and name not in known]
    if unknown:
        raise ValueError(f'it reads {unknown[0]!r}, a second output of another node, which is not supported')
    inputs = [known[name] if name else None for name in node.inputs]
    if not any(isinstance(each, Value) for each in inputs):
        folded = fold(node, inputs, model.opset, model.size)
        if folded is not None:
            return folded
    if node.kind not in OPERATORS:
        raise ValueError(f'this operator is not supported; those that are: {", ".join(sorted(OPERATORS))}')
    return OPERATORS[node.kind](Call(draft, node, inputs, model.opset, batch))


def _input(model, input_shape):
    """Return the `Value` of the input, and the batch's size where the file fixes it, or None."""
    name, sizes, _ = model.input
    if len(sizes) < 2:
        raise ValueError(f'input {name!r}: expected a batch of samples (N, ...), got {len(sizes)} axes')
    shape, rank = sizes[1:], len(sizes) - 1
    channels_last = rank == 1 or _transposes_first(model, rank)
    if rank == 3 and not any(node.kind in CHANNELS_FIRST for node in model.nodes):
        # A file that flattens images at once does not say. A last axis of 1 or 3 is that of the channels.
        by_sizes = shape[-1] in (1, 3) and shape[0] not in (1, 3, None)
        channels_last = channels_last or by_sizes or tuple(shape) == input_shape
    if input_shape is not None:
        given = list(input_shape) if channels_last else [input_shape[-1], *input_shape[:-1]]
        if len(given) != rank or any(size not in (None, ours) for size, ours in zip(shape, given, strict=True)):
            raise ValueError(f'input_shape: {input_shape} does not fit the input {name!r} of shape {tuple(shape)}')
        shape = given
    if None in shape:
        raise ValueError(
            f'input {name!r}: its sizes {tuple(sizes)} are left open; give input_shape=, such as (28, 28, 1)'
        )
    shape = shape_of_sample(tuple(shape), f'input {name!r}')
    if math.prod(shape) > MOST_NUMBERS:
        raise ValueError(f'input {name!r}: expected at most {MOST_NUMBERS:,} numbers in a sample, got shape {shape}')
    if channels_last:
        return Value(-1, shape, tuple(range(rank)), None, rank - 1), sizes[0]
    return Value(-1, shape, (*range(1, rank), 0), None, 0), sizes[0]


def _transposes_first(model, rank):
    """Whether images (N, H, W, C) come in: what reads the input moves the last axis to the front, and nothing else."""
    readers = {}
    for node in model.nodes:
        for name in node.inputs:
            readers.setdefault(name, []).append(node)
    waiting, found, seen = [model.input[0]], False, set()
    while waiting:
        name = waiting.pop()
        for node in readers.get(name, ()):
            if node.kind == 'Transpose':
                if tuple(node.attributes.get('perm', ())) != (0, rank, *range(1, rank)):
                    return False
                found = True
            elif node.kind == 'Shape':
                continue
            elif node.kind not in BEFORE_TRANSPOSE:
                return False
            elif node.outputs[0] not in seen:
                seen.add(node.outputs[0])
                waiting.append(node.outputs[0])
    return found


def _arrange_output(draft, value):
    """Return the place of the output: images, and what else has channels, with the channels last."""
    rank, channels = len(value.shape), value.channels
    if channels not in (0, rank - 1):
        channels = 0 if rank == 3 else rank - 1
    return draft.arrange(value, [*(axis for axis in range(rank) if axis != channels), channels]).place


def _class_names(network, metadata):
    """Return the names of the classes that cnnx has written into a file, where they fit, or None."""
    try:
        names = json.loads(metadata.get('classes', 'null'))
        outputs = network.layers[-1].shape
        fits = isinstance(names, list) and len(outputs) == 1 and len(names) == max(outputs[0], 2)
        return tuple(names) if fits and all(isinstance(name, str) and name for name in names) else None
    except (ValueError, RecursionError):
        return None
