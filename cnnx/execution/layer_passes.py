"""Forward and backward passes that keep what every layer gives, on copies: the network stays as it is."""

from cnnx.execution import graph
from cnnx.execution.folding import with_own_weights
from cnnx.execution.plan import LayerRun


class LayerPasses:
    """The layers of a network one by one, as in prediction, whether the network is fused or not.

    They are copies with weights of their own: neither the gradients of the network nor what its layers keep changes.

    Args:
        layers: the network's.
        reads: which of them read which (`cnnx.execution.graph`).
    """

    def __init__(self, layers, reads):
        self.layers, self._reads = with_own_weights(layers), reads
        for layer in self.layers:
            layer.trainable = False  # so that no time goes into gradients of weights

    def forward(self, x):
        """Return what each layer gives for a batch, a list of arrays."""
        self._runs = [LayerRun(layer, True) for layer in self.layers]  # new ones, so that no array is used again
        return graph.forward(self._reads, x, lambda i, x: self._runs[i].forward(x, False))[1:]

    def backward(self, dy, last=-1):
        """Return the gradients by the batch of the latest `forward`, and by what each layer gave, as one list.

        Args:
            dy: the gradient of what a layer gave.
            last: its index; no layer after it is gone through.
        """
        reads = self._reads[: range(len(self._reads))[last] + 1]
        return graph.backward(reads, dy, lambda i, dy: self._runs[i].backward(dy))
