"""The graph of an ONNX file: values, their axes and their order."""

import numpy as np

from cnnx.export.onnx_graph import Graph, Value


def test_channels_come_first_within_and_last_at_the_border():
    graph = Graph(13)
    value = graph.channels_first(Value('input', (5, 6, 3), channels_last=True))
    assert value.sizes == (3, 5, 6)
    assert graph.channels_last(value).sizes == (5, 6, 3)
    assert [node.settings['perm'] for node in graph.nodes] == [[0, 3, 1, 2], [0, 2, 3, 1]]


def test_numbers_in_another_order_are_gathered_back():
    graph = Graph(13)
    order = np.array([2, 0, 1])
    assert graph.in_order(Value('a', (3,))) == Value('a', (3,))
    value = graph.in_order(Value('a', (3,), order))
    (places,) = graph.constants.values()
    assert value.order is None
    assert np.array([20, 0, 10])[places].tolist() == [0, 10, 20]


def test_an_output_that_no_node_gives_gets_one():
    graph = Graph(13)
    graph.finish(Value('input', (3,)))
    assert [(node.kind, node.inputs, node.output) for node in graph.nodes] == [('Identity', ['input'], 'output')]
