"""ONNX: a network as a file that ONNX Runtime, Netron and others read. Needs the extra `onnx`.

Sources: the specification of ONNX, https://onnx.ai/onnx/intro/, and of its operators, https://onnx.ai/onnx/operators/.
"""

import json

from cnnx._util.validation import true_or_false
from cnnx._version import __version__
from cnnx.checkpoint import write_whole
from cnnx.execution.folding import for_inference
from cnnx.export.onnx_graph import Graph, Value
from cnnx.export.onnx_layers import add_layer

OPSETS = range(13, 25)
LAYOUTS = ('NHWC', 'NCHW')
# The format of the file: 8, which runtimes of the last years read, unless the opset needs a later one.
IR_VERSION = 8
# Bytes; ONNX files are of Protocol Buffers, which hold no more.
LARGEST = 2**31 - 2**20


def export(network, path, *, opset=13, layout='NHWC', fold=False, pixels='0 to 1'):
    """Write a network to an .onnx file, in float32.

    The file has one input, `input`, and one output, `output`; the size of the batch is left open. What acts in
    training only is left out. Class names, the layout and `pixels` are in the file's metadata.

    Args:
        network: a `cnnx.Network`.
        path: the file.
        opset: the version of ONNX's operators, from 13 to 24. Operators of later versions are written as several
            of earlier ones.
        layout: of images (and signals) that go in and come out: 'NHWC', as cnnx takes them, or 'NCHW'.
        fold: whether a BatchNormalization becomes part of the weights of the layer before it.
        pixels: what the metadata say of how images are scaled.

    Raises:
        ImportError: the package onnx is not installed.
        OSError: the file cannot be written.
        ValueError: an argument is none of these, or the network has a layer of your own.
    """
    write_whole(path, to_bytes(network, opset=opset, layout=layout, fold=fold, pixels=pixels))


def to_bytes(network, *, opset=13, layout='NHWC', fold=False, pixels='0 to 1'):
    """Return what `export` writes."""
    onnx = import_onnx('export')
    if isinstance(opset, bool) or opset not in OPSETS:
        raise ValueError(f'opset: expected a whole number from {OPSETS[0]} to {OPSETS[-1]}, got {opset!r}')
    if layout not in LAYOUTS:
        raise ValueError(f'layout: expected one of {", ".join(LAYOUTS)}, got {layout!r}')
    if not isinstance(pixels, str):
        raise ValueError(f'pixels: expected a text such as "0 to 1", got {pixels!r}')
    if not network.layers:
        raise ValueError('export: the network has no layers; add some first')
    graph = build(network, int(opset), layout, true_or_false(fold, 'fold'))
    model = _model(onnx, network, graph, layout, pixels)
    if model.ByteSize() > LARGEST:
        raise ValueError(f'export: expected a model of at most {LARGEST:,} bytes, got {model.ByteSize():,}')
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True)


def import_onnx(action):
    """Return the package onnx, or raise an ImportError that names the extra."""
    try:
        import onnx
        import onnx.checker
        import onnx.helper
        import onnx.numpy_helper
    except ImportError as error:
        raise ImportError(f'{action}: ONNX files need the package onnx: pip install "cnnx[onnx]" ({error})') from None
    return onnx


def build(network, opset, layout, fold):
    """Return the `Graph` of a network: its nodes, constants, and what goes in and comes out."""
    graph = Graph(opset)
    graph.input = Value('input', tuple(network.input_shape), channels_last=layout == 'NHWC')
    values = {-1: graph.channels_first(graph.input)}
    layers, reads = for_inference(network.layers, network.reads) if fold else (network.layers, network.reads)
    for layer, places in zip(layers, reads, strict=True):
        graph.prefix = f'{layer.index}_{type(layer).__name__}'
        values[layer.index] = add_layer(graph, layer, [values[place] for place in places])
    output = graph.in_order(values[layers[-1].index])
    graph.finish(graph.channels_last(output) if layout == 'NHWC' else output)
    return graph


def _model(onnx, network, graph, layout, pixels):
    """Return the ModelProto."""
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    nodes = [
        helper.make_node(node.kind, node.inputs, [node.output], node.output, **node.settings) for node in graph.nodes
    ]
    initializers = [onnx.numpy_helper.from_array(array, name) for name, array in graph.constants.items()]
    ends = [
        helper.make_tensor_value_info(value.name, kind, ['batch', *value.sizes])
        for value in (graph.input, graph.output)
    ]
    opsets = [helper.make_opsetid('', graph.opset)]
    model = helper.make_model(
        helper.make_graph(nodes, 'cnnx', ends[:1], ends[1:], initializers),
        opset_imports=opsets,
        ir_version=max(IR_VERSION, helper.find_min_ir_version_for(opsets)),
        producer_name='cnnx',
        producer_version=__version__,
    )
    metadata = {'layout': layout, 'pixels': pixels, 'cnnx': __version__}
    if network.class_names is not None:
        metadata['classes'] = json.dumps(network.class_names, ensure_ascii=False)
    helper.set_model_props(model, metadata)
    return model
