"""Prediction: a network's output for samples, and the classes."""

import numpy as np

from cnnx._util.arrays import as_kernels_read
from cnnx._util.foreign_names import EVALUATE_KEYWORDS
from cnnx._util.hints import explained
from cnnx._util.validation import positive_int
from cnnx.training.batch_data import batches_of_samples
from cnnx.training.predictor import Predictor


@explained(EVALUATE_KEYWORDS)
def predict(network, x, batch_size=256):
    """Return the network's output for samples, (N, ...); memory beyond that is bounded by batch_size.

    Args:
        network: a `cnnx.Network`.
        x: samples (N, ...); or an iterable of batches that comes to an end, and is no list or tuple: of samples, or of
            tuples that begin with them.
        batch_size: samples to a pass, where x is an array.

    Raises:
        ValueError: x does not fit the first layer.
    """
    plan, shape = network.plan, network.layers[-1].shape
    batches = batches_of_samples(x)
    if batches is not None:
        outputs = [np.empty((0, *shape), network.dtype)]
        for number, batch in enumerate(batches, 1):
            batch = network.check_samples(batch, f'batch {number}: x')
            outputs.append(_predict(network, plan, batch))
        return np.concatenate(outputs)
    x = network.check_samples(x, 'x')
    batch_size = positive_int(batch_size, 'batch_size')
    if len(x) <= batch_size:
        return _predict(network, plan, x)
    outputs = np.empty((len(x), *shape), network.dtype)
    for first in range(0, len(x), batch_size):
        outputs[first : first + batch_size] = _predict(network, plan, x[first : first + batch_size])
    return outputs


def predict_classes(network, x, batch_size=256):
    """Return the most probable class of each sample, (N,) int; with a single output, whether it is over 1/2.

    Where the outputs are those of positions, (N, ..., classes), so are the classes: (N, ...). For labels that are
    independent of each other, use `predict(x) > 0.5`.

    Args:
        network, x, batch_size: as for `predict`.

    Raises:
        ValueError: x does not fit the first layer.
    """
    outputs = predict_scores(network, x, batch_size)
    return (outputs[..., 0] > 0.5).astype(np.intp) if outputs.shape[-1] == 1 else outputs.argmax(axis=-1)


def predict_scores(network, x, batch_size=256):
    """Return what `predict` does, as metrics take it: logits of a binary cross-entropy as probabilities."""
    outputs = network.predict(x, batch_size)
    return outputs if network.loss is None else network.loss.as_scores(outputs)


@explained(EVALUATE_KEYWORDS)
def predictor(network, batch_size=256):
    """Return a `cnnx.training.predictor.Predictor`: the fastest way to predict, one sample or many, from any thread.

    It is a function of samples, (N, ...) or a single one without the batch axis, in the network's dtype, that returns
    what `predict` does, within rounding. It has a copy of the weights: training the network further, or changing it in
    any way, does not change what it predicts. It can be pickled.

        predictor = net.predictor()
        probabilities = predictor(x)

    Args:
        network: a `cnnx.Network`.
        batch_size: samples to a pass, which bounds the memory.

    Raises:
        RuntimeError: the network has no layers.
        ValueError: batch_size is not a whole number of at least 1.
    """
    batch_size = positive_int(batch_size, 'batch_size')
    with network.plan.lock:
        return Predictor(network.layers, network.reads, network.input_shape, network.runs_fused, batch_size)


def _predict(network, plan, batch):
    """Return the network's output for a batch, an array of its own."""
    with plan.lock:
        return plan.predict(as_kernels_read(batch, network.dtype)).copy()
