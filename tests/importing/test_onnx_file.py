"""ONNX files as they are read: constants of every kind, nodes in any order, and hostile files."""

import sys

import numpy as np
import pytest

import cnnx

onnx = pytest.importorskip('onnx')
pytest.importorskip('onnxruntime')
from onnx import helper, numpy_helper  # noqa: E402
from onnx_models import kinds, load, model, node  # noqa: E402

W = np.arange(8, dtype=np.float32).reshape(2, 4)


def dense(w=W):
    return model([node('Relu', 'x', 'r'), node('MatMul', 'r w')], (len(w),), {'w': w})


@pytest.mark.parametrize('dtype', ['float16', 'float64', 'float32'])
def test_weights_of_any_width_become_float32(path, dtype):
    net = load(path, dense(W.astype(dtype)))
    assert net.dtype == 'float32'
    assert (net.layers[1].weights == W).all()


def test_bfloat16_and_numbers_that_are_not_raw(path):
    proto = dense()
    for kind in (onnx.TensorProto.BFLOAT16, onnx.TensorProto.FLOAT):
        proto.graph.initializer[0].CopyFrom(helper.make_tensor('w', kind, W.shape, W.reshape(-1).tolist()))
        assert (load(path, proto).layers[1].weights == W).all()


def test_a_network_of_doubles_is_float64(path):
    proto = model([node('MatMul', 'x w')], (2,), {'w': W.astype('f8')}, kind=onnx.TensorProto.DOUBLE)
    assert load(path, proto).dtype == 'float64'


def test_nodes_come_in_any_order_and_initializers_may_be_inputs(path):
    proto = dense()
    first = proto.graph.node.pop(0)
    proto.graph.node.append(first)
    proto.graph.input.append(helper.make_tensor_value_info('w', onnx.TensorProto.FLOAT, W.shape))
    assert kinds(load(path, proto)) == ['ReLU', 'Dense']


def test_one_of_several_outputs_is_chosen(path):
    proto = dense()
    proto.graph.node.append(node('Softmax', 'y', 'p'))
    proto.graph.node.append(node('NonMaxSuppression', 'p p', 'q'))  # what no output needs is not read
    proto.graph.output.append(helper.make_tensor_value_info('p', onnx.TensorProto.FLOAT, None))
    with pytest.raises(cnnx.CheckpointError, match=r"expected one output, got 2; give output=, one of 'y', 'p'"):
        load(path, proto)
    assert kinds(load(path, proto, output='y')) == ['ReLU', 'Dense']
    assert kinds(load(path, proto, output='p')) == ['ReLU', 'Dense', 'Softmax']
    assert kinds(load(path, proto, output='r')) == ['ReLU']
    for name in 'w', 'z', '':
        with pytest.raises(cnnx.CheckpointError, match=f"output {name!r}: there is none of this name; .* 'y', 'p'"):
            load(path, proto, output=name)


def test_options_that_do_not_fit(path, tmp_path):
    with pytest.raises(ValueError, match='output: expected the name of an output, got 3'):
        load(path, dense(), output=3)
    load(path, dense()).save(tmp_path / 'net.npz')
    with pytest.raises(ValueError, match=r'input_shape and output are for .onnx files, got .*net.npz'):
        cnnx.Network.load(tmp_path / 'net.npz', input_shape=(2,))


def test_nodes_may_leave_out_inputs_and_outputs(path):
    proto = model(
        [node('Relu', 'x', 'r'), helper.make_node('Clip', ['r', '', 'six'], ['y'])], (4,), {'six': np.float32(6)}
    )
    proto.graph.node.append(helper.make_node('Dropout', ['y'], ['d', '']))
    proto.graph.output[0].name = 'd'
    assert load(path, proto).predict(np.array([[-1.0, 0, 5, 7]])).tolist() == [[0, 0, 5, 6]]


def external(proto):
    tensor = proto.graph.initializer[0]
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key='location', value='../weights.bin')


def subgraph(proto):
    branch = helper.make_graph([], 'g', [], [])
    proto.graph.node[0].CopyFrom(helper.make_node('If', ['x'], ['r'], then_branch=branch, else_branch=branch))


def function(proto):
    proto.functions.add(name='f', domain='a')


def announced(proto):
    proto.graph.initializer[0].dims[:] = [2**40, 2**20]


def negative(proto):
    proto.graph.initializer[0].dims[:] = [-2, -4]


def circle(proto):
    proto.graph.node[0].input[0] = 'y'


def unknown(proto):
    proto.graph.node[0].input[0] = 'z'


def twice(proto):
    proto.graph.node[0].output[0] = 'y'


def foreign(proto):
    proto.graph.node[0].domain = 'com.microsoft'


def old(proto):
    proto.opset_import[0].version = 6


def inputs(proto):
    proto.graph.input.append(helper.make_tensor_value_info('z', onnx.TensorProto.FLOAT, [1]))


def many(proto):
    proto.graph.node.extend([proto.graph.node[0]] * 10_001)


def text(proto):
    proto.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.array(['a'], object), 'w'))


HOSTILE = {
    external: 'data in another file are not supported',
    subgraph: r'\(If\): attribute \w+_branch is a subgraph',
    function: 'functions and sparse constants are not supported',
    announced: "constant 'w': announces shape",
    negative: "constant 'w': announces shape",
    circle: 'nodes read each other in a circle',
    unknown: "reads 'z', which nothing gives",
    twice: "'y' is given twice",
    foreign: "operators of 'com.microsoft' are not supported",
    old: 'expected opset 7 or later, got 6',
    inputs: "expected one input, got 2: 'x', 'z'",
    many: 'expected at most 10,000 nodes',
    text: "constant 'w': expected numbers",
}


@pytest.mark.parametrize('change', HOSTILE, ids=lambda change: change.__name__)
def test_hostile_files_are_refused(path, change):
    proto = dense()
    change(proto)
    with pytest.raises(cnnx.CheckpointError, match=HOSTILE[change]) as error:
        load(path, proto)
    assert str(path) in str(error.value)


def test_files_that_are_none(path, tmp_path):
    path.write_bytes(b'no protocol buffer')
    with pytest.raises(cnnx.CheckpointError, match='damaged, or no ONNX file'):
        cnnx.Network.load(path)
    path.write_bytes(b'')
    with pytest.raises(cnnx.CheckpointError, match='no graph with an output'):
        cnnx.Network.load(path)
    with pytest.raises(FileNotFoundError):
        cnnx.Network.load(tmp_path / 'nowhere.onnx')
    (tmp_path / 'folder.onnx').mkdir()
    with pytest.raises(cnnx.CheckpointError, match='not a file'):
        cnnx.Network.load(tmp_path / 'folder.onnx')


def test_half_a_file_is_refused(path):
    content = dense().SerializeToString()
    for length in range(1, len(content), 7):
        path.write_bytes(content[:length])
        with pytest.raises(cnnx.CheckpointError):
            cnnx.Network.load(path)


def test_without_the_package_the_extra_is_named(path, monkeypatch):
    path.write_bytes(b'')
    monkeypatch.setitem(sys.modules, 'onnx', None)
    with pytest.raises(ImportError, match=r'pip install "cnnx\[onnx\]"'):
        cnnx.Network.load(path)
