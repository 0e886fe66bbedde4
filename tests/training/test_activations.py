"""Network.activations: what each layer gives."""

import numpy as np
import pytest
from fused_networks import NETWORKS, data, network
from graph_networks import residual
from models import small_data, small_network

import cnnx


def by_hand(net, x):
    """Return what each layer of a chain gives, from one to the next."""
    outputs = []
    for layer in net.layers:
        x = layer.forward(x)
        outputs.append(x.copy())
    return outputs


@pytest.mark.parametrize('name', NETWORKS)
def test_of_a_fused_network_it_is_what_the_layers_give_one_by_one(name):
    net = network(name)
    x, _ = data(net, 7)
    found = net.activations(x, batch_size=3)
    assert len(found) == len(net.layers)
    for array, expected in zip(found, by_hand(net, x), strict=True):
        np.testing.assert_allclose(array, expected, rtol=1e-9, atol=1e-12)


def test_of_a_graph():
    net = residual()
    x = np.random.default_rng(0).normal(size=(3, *net.input_shape))
    found = net.activations(x)
    adds = [layer.index for layer in net.layers if isinstance(layer, cnnx.Add)]
    for i in adds:
        np.testing.assert_array_equal(found[i], sum(found[place] for place in net.reads[i]))
    np.testing.assert_allclose(found[-1], net.predict(x), rtol=1e-9)


def test_layers_are_chosen_by_index_and_their_order_kept():
    net = small_network()
    x, _ = small_data(5)
    everything = net.activations(x)
    last, first = net.activations(x, [-2, 0])
    np.testing.assert_array_equal(last, everything[4])
    np.testing.assert_array_equal(first, everything[0])
    assert net.activations(x, []) == []
    assert [len(array) for array in net.activations(x[:0])] == [0] * 6


def test_it_changes_nothing_that_backward_needs():
    net, other = small_network(), small_network()
    x, _ = small_data(5)
    for each in (net, other):
        each.forward(x)
    net.activations(x[::-1] + 1)
    np.testing.assert_array_equal(net.backward(np.ones((5, 3))), other.backward(np.ones((5, 3))))


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        ({'layers': 3}, 'layers: expected a list of indices'),
        ({'layers': 'conv'}, 'layers: expected a list of indices'),
        ({'layers': [6]}, 'layers: expected an index from -6 to 5, got 6'),
        ({'layers': [0.5]}, 'layers: expected an index from -6 to 5, got 0.5'),
        ({'batch_size': 0}, 'batch_size: expected'),
    ],
)
def test_what_there_is_not_is_refused(arguments, words):
    x, _ = small_data(5)
    with pytest.raises(ValueError, match=words):
        small_network().activations(x, **arguments)
    with pytest.raises(ValueError, match='expected x'):
        small_network().activations(x[0])
    with pytest.raises(RuntimeError, match='the network has no layers'):
        cnnx.Network().activations(x)
