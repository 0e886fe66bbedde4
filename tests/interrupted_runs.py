"""Runs of a small network that signals or errors interrupt, and what they leave."""

import os
import signal
import warnings

from models import bits, cut, small_data, small_network

EPOCHS, BATCHES = 3, 4


class StopError(Exception):
    """What a signal handler of the user raises."""


def batches(epoch=1):
    return cut(*small_data(8 * BATCHES, seed=epoch))


def train_on_batches(net, data=batches, **options):
    return net.train(data, **({'epochs': EPOCHS, 'learning_rate': 0.05, 'verbose': 0} | options))


def whole_run():
    """Return history and weights of a run that nothing interrupts."""
    net = small_network()
    return train_on_batches(net, validation_data=small_data(9)), bits(net)


def assert_resumes(folder, whole, **options):
    """Resume a run in a folder, and see that it ends as one that was not stopped."""
    net, (history, weights) = small_network(seed=9), whole
    options = {'validation_data': small_data(9), 'checkpoint_dir': folder, 'resume_from_checkpoint': True} | options
    assert train_on_batches(net, **options).history == history.history
    assert bits(net) == weights


def names(folder):
    return sorted(path.name for path in folder.glob('*.npz'))


def signal_at(net, call, number=signal.SIGINT, method='forward_and_backward'):
    """Have a signal come while a network's plan learns or evaluates a batch, the call-th from now on."""
    plan, calls = net.plan, []
    real = getattr(plan, method)

    def signalled(*arguments):
        calls.append(None)
        if len(calls) == call:
            signal.raise_signal(number)
        return real(*arguments)

    setattr(plan, method, signalled)


def fork():
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', DeprecationWarning)  # Python 3.12 and newer advise against it beside threads
        return os.fork()
