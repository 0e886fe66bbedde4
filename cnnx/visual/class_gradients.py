"""Gradients of the score of a class: what saliency maps and Grad-CAM are made from."""

from typing import NamedTuple

import numpy as np

from cnnx._util.arrays import as_kernels_read
from cnnx._util.validation import is_whole, shown
from cnnx.execution.layer_passes import LayerPasses
from cnnx.layers import LogSoftmax, Sigmoid, Softmax
from cnnx.training.prediction import predict_scores


class ClassGradients(NamedTuple):
    """The score of one class a sample, and its gradients.

    Attributes:
        scores: (N,): what goes into the last Softmax, LogSoftmax or Sigmoid; without one, the output.
        of_input: the gradient of the score by the sample, (N, *input_shape).
        outputs, of_outputs: what each layer gives, and the gradient by it, lists by the index of the layer; the
            gradient is None for a Softmax, LogSoftmax or Sigmoid at the end.
    """

    scores: np.ndarray
    of_input: np.ndarray
    outputs: list
    of_outputs: list


def class_gradients(network, x, target=None):
    """Return the gradients of the score of a class, sample by sample, with the layers as in prediction.

    Scores are those before the last Softmax, since probabilities also grow where those of other classes fall (Simonyan
    et al., "Deep inside convolutional networks: visualising image classification models and saliency maps", 2014,
    section 2). Of a network with a single output, the score of class 0 is its negative.

    Args:
        network: a `cnnx.Network` with one output a class.
        x: samples (N, ...).
        target: as for `targets_of`.

    Returns:
        A `ClassGradients`.

    Raises:
        ValueError: x does not fit the network, or there is no such class.
    """
    x = as_kernels_read(network.check_samples(x, 'x'), network.dtype)
    targets = targets_of(network, x, target)
    with network.plan.lock:
        passes = LayerPasses(network.layers, network.reads)
    outputs = passes.forward(x)
    squashed = len(outputs) > 1 and isinstance(network.layers[-1], (Softmax, LogSoftmax, Sigmoid))
    last = len(outputs) - 1 - squashed
    dy, rows = np.zeros_like(outputs[last]), np.arange(len(x))
    if dy.shape[1] == 1:
        dy[:, 0] = np.where(targets == 1, 1, -1)
    else:
        dy[rows, targets] = 1
    of_input, *of_outputs = passes.backward(dy, last)
    scores = (outputs[last] * dy).sum(axis=1)
    return ClassGradients(scores, of_input, outputs, of_outputs + [None] * squashed)


def targets_of(network, x, target=None):
    """Return the class that each sample is looked at for, (N,) int.

    Args:
        network: a `cnnx.Network` with one output a class, or a single one, the probability of class 1.
        x: samples (N, ...).
        target: a class for all samples, or one for each, (N,); None for those that the network predicts.

    Raises:
        ValueError: the network has other outputs, or there is no such class.
    """
    shape = network.layers[-1].shape
    if len(shape) != 1:
        raise ValueError(f'expected a network with one output a class, its outputs are {shape}')
    if target is None:
        outputs = predict_scores(network, x)
        return (outputs[:, 0] > 0.5).astype(int) if shape == (1,) else outputs.argmax(axis=1)
    classes = max(shape[0], 2)
    targets = np.asarray(target)
    whole = is_whole(target) or (targets.dtype.kind in 'iu' and targets.shape == (len(x),))
    if not whole or not ((targets >= 0) & (targets < classes)).all():
        raise ValueError(
            f'target: expected a class from 0 to {classes - 1}, or {len(x)} of them, one a sample, got {shown(target)}'
        )
    return np.broadcast_to(targets, len(x)).astype(int)
