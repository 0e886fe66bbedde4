"""The order in which Keras has the layers of a network that branches: by their distance from the output.

Source: https://github.com/keras-team/keras/blob/master/keras/src/ops/function.py, map_graph.
"""

from cnnx.layers import Softmax, activations
from cnnx.layers.weighted import WeightedLayer


def keras_orders(network):
    """Return the orders of the layers' places that weights of the network may have in a file of Keras.

    Which one it is depends on whether activations are layers of their own there, or arguments of convolutions and Dense
    layers. The last one is the network's own order, in which layers were called.
    """
    own = list(range(len(network.layers)))
    if all(reads == (place - 1,) for place, reads in enumerate(network.reads)):
        return [own]
    return [
        _by_distance(network, lambda place: False),
        _by_distance(network, lambda place: _is_part(network, place)),
        own,
    ]


def _is_part(network, place):
    """Whether a layer can be the argument `activation` of the one that it reads."""
    layer, reads = network.layers[place], network.reads[place]
    is_activation = isinstance(layer, Softmax) or type(layer).__module__ == activations.__name__
    return is_activation and reads[0] >= 0 and isinstance(network.layers[reads[0]], WeightedLayer)


def _by_distance(network, is_part):
    """Return the places, of layers farthest from the output first; equal ones as a walk from it meets them."""
    distances = [0] * len(network.layers)
    for place in reversed(range(len(network.layers))):
        for read in network.reads[place]:
            if read >= 0:
                distances[read] = max(distances[read], distances[place] + (not is_part(place)))
    met, waiting = {}, [len(network.layers) - 1]
    while waiting:
        place = waiting.pop()
        if place >= 0 and place not in met:
            met[place] = len(met)
            waiting += reversed(network.reads[place])
    return sorted(met, key=lambda place: (-distances[place], met[place]))
