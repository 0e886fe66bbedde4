"""Divergence: a loss, gradient or weight that is NaN or infinite, and where it came from."""

import math

import numpy as np

from cnnx.execution import graph
from cnnx.training.data_checks import BYTES, look_like_bytes, takes_any_scale


class DivergenceError(ArithmeticError):
    """A loss or a gradient is NaN or infinite. The weights are those from before the batch that made it so.

    Where an `EarlyStopping` restores the best weights, the network has those of the best epoch instead.
    """


def diverged(network, samples, index, loss, learning_rate):
    """Return the `DivergenceError` for a batch whose loss or gradients are not finite; take back what it changed.

    Args:
        network: that has just learned from the batch, without an update after it; its lock is held.
        samples, index: the samples, and which of them make up the batch.
        loss: the mean of the batch's losses.
        learning_rate: the step's.
    """
    for layer in network.layers:
        layer.undo()
    what = f'the loss is {loss}'
    if math.isfinite(loss):
        # The backward pass starts at the last layer.
        what = f'the gradient of {_not_finite(reversed(network.layers), "grad")} is not finite'
    advice = 'try a smaller one, or look at the data'
    if look_like_bytes(samples.batch(index)[0]) and not takes_any_scale(network):
        advice = f'before a smaller one, scale x. {BYTES}'
    return DivergenceError(
        f'{what}; {_cause(network, samples, index)}. The weights are those from before this batch. '
        f'The learning rate was {learning_rate:g}: {advice}'
    )


def check_weights(network, where):
    """Raise a `DivergenceError` if a weight is not finite: a large step may make one so, from a finite gradient."""
    name = _not_finite(network.layers, 'value')
    if name is not None:
        cause = 'a step was too large. Restart, or resume, with a smaller learning rate'
        if _not_finite(network.layers, 'value', learned=True) is None:  # it is a running mean or variance
            cause = "that layer's input was too large. Look at x, and then at the learning rate"
        raise DivergenceError(f'{where}: the {name} hold numbers that are not finite, and are not saved; {cause}')


def _not_finite(layers, array, learned=False):
    """Return the name of the first parameter, or learned one, whose 'value', or 'grad', is not finite, or None."""
    for layer in layers:
        for parameter in layer.parameters:
            if (parameter.trainable or not learned) and not np.isfinite(getattr(parameter, array)).all():
                return f'{parameter.name} of {layer.where}'
    return None


def _cause(network, samples, index):
    x, targets, *_ = samples.batch(index)
    for name, numbers in (('x', x), ('y', targets)):
        bad = ~np.isfinite(numbers.reshape(len(index), -1).astype(network.dtype, copy=False)).all(axis=1)
        if bad.any():
            return f'sample {index[bad.argmax()]} of {name} holds a number that is not finite'
    name = _not_finite(network.layers, 'value')
    if name is not None:
        return f'the {name} already held numbers that are not finite'
    with np.errstate(all='ignore'):
        outputs = graph.forward(network.reads, x, lambda i, x: network.layers[i].forward(x, False))
    for layer, y in zip(network.layers, outputs[1:], strict=True):
        if not np.isfinite(y).all():
            return f'{layer.where} is the first whose output is not finite'
    return 'the outputs of all layers are finite, and too large for the loss or its gradient'
