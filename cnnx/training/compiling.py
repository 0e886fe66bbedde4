"""`Network.compile`: which loss, optimizer and metrics a network is trained and evaluated with."""

from cnnx._util.foreign_names import COMPILE_KEYWORDS
from cnnx._util.hints import explained
from cnnx.losses import as_loss
from cnnx.metrics import ConfusionMatrix, get_metrics
from cnnx.optimizers import OPTIMIZERS, Optimizer, as_optimizer
from cnnx.training.loss_check import check_loss_fits


@explained(COMPILE_KEYWORDS)
def compile(network, loss=None, optimizer='sgd', *, metrics=None):
    """Choose the loss, the optimizer and metrics, and clear the optimizer's state.

    Args:
        network: a `cnnx.Network`.
        loss: a loss such as `CategoricalCrossEntropy()`, or a name: 'categorical_crossentropy', 'mse'; None for a
            network that learns from the gradient that another one's `backward` returns.
        optimizer: one such as `Adam(beta_1=0.8)`, or the name of a kind of `cnnx.optimizers`, such as 'adam', in
            capitals or not, for one with its defaults; None is plain `SGD()`.
        metrics: names or objects of `cnnx.metrics`, such as ['f1', 'top_3'], that `train` computes on validation data
            after each epoch, and `evaluate` on its samples; 'accuracy' is there without being named. Files do not
            hold them.

    Raises:
        TypeError: what came is no loss or no optimizer.
        ValueError: the last layer does not give what the loss takes, or a name is not known.
    """
    if isinstance(loss, Optimizer) or (isinstance(loss, str) and loss.lower() in map(str.lower, OPTIMIZERS)):
        raise TypeError('compile: got an optimizer where the loss comes first; write compile(loss=..., optimizer=...)')
    loss = None if loss is None else as_loss(loss)
    optimizer = as_optimizer('sgd' if optimizer is None else optimizer)
    metrics = _numbers_of_epochs([] if metrics is None else metrics)
    if not network.layers:
        raise RuntimeError('the network has no layers; add some first')
    check_loss_fits(loss, network)
    network.set_up_training(loss, optimizer, metrics)


def _numbers_of_epochs(metrics):
    """Return metrics that give a number an epoch, without accuracy, which evaluation measures anyway."""
    metrics = [metric for metric in get_metrics(metrics) if metric.name != 'accuracy']
    if any(type(metric) is ConfusionMatrix for metric in metrics):
        raise ValueError("compile: a confusion matrix is no number; evaluate(metrics=['confusion_matrix']) has it")
    return metrics
