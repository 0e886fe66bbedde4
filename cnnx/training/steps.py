"""The steps of a training loop of one's own: forward, backward, update, and train_on_batch, which is all of them."""

import numpy as np

from cnnx._util import logits
from cnnx._util.arrays import as_kernels_read, as_numbers
from cnnx._util.foreign_names import TRAIN_KEYWORDS
from cnnx._util.hints import explained
from cnnx._util.validation import non_negative, true_or_false
from cnnx.training.array_data import ArrayData
from cnnx.training.history import Mean
from cnnx.training.loop import learn


def forward(network, x, training=False):
    """Return the network's output for a batch, (N, ...), and keep what `backward` needs.

    The array is the caller's: the next batch does not overwrite it.

    Args:
        network: a `cnnx.Network`.
        x: samples (N, ...).
        training: whether layers do what they do in training, such as dropout.

    Raises:
        ValueError: x does not fit the first layer.
    """
    plan = network.plan
    # A copy: layers keep it for backward, and the caller's array may be filled anew before that.
    x = as_kernels_read(np.array(network.check_samples(x, 'x')), network.dtype)
    with plan.lock:
        lent = plan.forward(x, true_or_false(training, 'training'))
        y = lent.copy()
        if (of_softmax := logits.logits_by_probabilities.find(lent)) is not None:
            logits.logits_by_probabilities.remember(y, of_softmax)
    return y


def backward(network, dy):
    """Write the gradients of all parameters, those of l2 included, and return the gradient of x, (N, ...).

    Gradients are overwritten. (In PyTorch they add up, and are set to zero before.)

    Args:
        network: a `cnnx.Network`.
        dy: the gradient of the loss by what the latest `forward` returned, of its shape.

    Raises:
        RuntimeError: there was no `forward`, or another batch has run since.
        ValueError: dy has another shape.
    """
    plan, last = network.plan, network.layers[-1]
    dy = as_numbers(dy, 'dy')
    last.check_shape(dy, last.shape, 'output gradient')
    with plan.lock:
        return plan.backward(as_kernels_read(dy, network.dtype)).copy()


def update(network, learning_rate=None):
    """Take one step of the compiled optimizer along the gradients.

    Args:
        network: a compiled `cnnx.Network`.
        learning_rate: the size of the step; None for the optimizer's usual one.

    Raises:
        RuntimeError: the network is not compiled.
        ValueError: the learning rate is no finite number of at least 0.
    """
    if network.optimizer is None:
        raise RuntimeError("update needs an optimizer; call compile(loss, optimizer='sgd') first")
    rate = _checked_rate(network, learning_rate)
    with network.plan.lock:
        network.prepared_update()(rate)


@explained(TRAIN_KEYWORDS)
def train_on_batch(network, x, targets, *, learning_rate=None, sample_weight=None):
    """Learn from one batch: forward, loss, backward and update; return {'loss': ..., 'accuracy': ...}.

    The loss is the mean over the batch, with penalties of weights, from before the update.

    Args:
        network: a compiled `cnnx.Network`.
        x, targets, sample_weight: a batch, as `train` takes samples.
        learning_rate: as for `update`.

    Raises:
        ValueError: the arguments do not fit the network or each other.
        DivergenceError: loss or gradients are NaN or infinite; the weights are those from before the batch.
    """
    network.needs_loss('train_on_batch')
    samples = ArrayData(network, x, targets, sample_weight)
    rate = _checked_rate(network, learning_rate)
    mean = Mean(samples.measures_accuracy)
    mean.add(*learn(network, samples, np.arange(len(samples)), rate))
    return mean.metrics()


def _checked_rate(network, learning_rate):
    if learning_rate is None:
        return network.optimizer.usual_learning_rate
    return non_negative(learning_rate, 'learning_rate')
