"""The learning-rate range test: which learning rates a network learns at."""

import contextlib
import copy
import itertools
from dataclasses import dataclass

import numpy as np

from cnnx._util.figures import new_figure
from cnnx._util.generators import make_generator
from cnnx._util.validation import non_negative, path_of_file, positive_int
from cnnx.training.array_data import ArrayData
from cnnx.training.signals import Interruption

# Steps until the average of the losses has settled: it is no measure of anything before.
SETTLED = 10
LEAST_STEPS = 5 * SETTLED
# Of the average of the losses, what is kept at each step.
KEPT = 0.9
# Of a parameter, which kernels hold on to; their contents are put back.
ARRAYS = ('_value', '_grad')
# A loss that falls by less than this share has not fallen.
LEAST_FALL = 0.02
# The test is over where the loss is so many times the lowest.
TOO_HIGH = 4


@dataclass(frozen=True, eq=False)
class RangeTest:
    """What `Network.find_learning_rate` found.

    Attributes:
        rates: the learning rates that were tried, rising, (K,) float64.
        losses: the smoothed loss before the step at each, (K,) float64.
        suggestion: a rate to train at, or None where the test shows none.
        message: where the suggestion comes from, or why there is none.
    """

    rates: np.ndarray
    losses: np.ndarray
    suggestion: float | None
    message: str

    def __repr__(self):
        rate = 'no suggestion' if self.suggestion is None else f'suggestion {self.suggestion:.2g}'
        return f'RangeTest({rate}: {self.message})'

    def plot(self, path):
        """Draw loss by rate into a file: .png, .svg or .pdf.

        Raises:
            ImportError: matplotlib is not installed.
            OSError, ValueError: the file cannot be written, or no picture ends like that.
        """
        path = path_of_file(path)
        figure = new_figure(figsize=(6, 3.6))
        axes = figure.subplots()
        axes.plot(self.rates, self.losses, label='loss, smoothed')
        if self.suggestion is not None:
            axes.axvline(self.suggestion, color='C1', linestyle='--', label=f'suggestion: {self.suggestion:.2g}')
        axes.set(xlabel='learning rate', ylabel='loss', xscale='log')
        axes.grid(alpha=0.3)
        axes.legend()
        figure.savefig(path, dpi=120)


def find_learning_rate(network, x, y, batch_size=32, lowest=1e-6, highest=10.0, steps=100):
    """Train while the learning rate rises exponentially, and see at which rates the loss falls.

    The test ends where the loss is 4 times its lowest, or not finite. Then weights, the optimizer's memory and the
    generator are what they were before, also after an error or Ctrl-C. Samples are taken in new random orders, as
    often as the steps need them; in each, what is left behind the last whole batch is not used.

    The suggestion is a tenth of the rate at which the smoothed loss was lowest: a rate to begin with, for this network
    as it is, its optimizer and this batch size; a few times as much may do better. The other usual rule, the rate at
    which the loss falls most steeply, is less robust: with LeNet-5 on 1,000 images of MNIST, SGD with momentum 0 or
    0.9, batches of 32 or 128, five epochs and ten seeds, a tenth of the lowest came to test accuracies of 0.66 to
    0.88 on average, and never less than 0.5. The steepest descent did better in three of these four settings, but with
    momentum 0 and batches of 32 it lay anywhere from 4e-6 to 0.5, and four of ten runs learned nothing.

    Source: Smith, "Cyclical learning rates for training neural networks", 2017 (arXiv 2015), section 3.3; Gugger,
    "How do you find a good learning rate", 2018, for the smoothed loss, and for where to stop.

    Args:
        network: a compiled `cnnx.Network`.
        x, y: samples and targets, as `train` takes them.
        batch_size: samples to a step, at most as many as there are.
        lowest, highest: the first and the last rate.
        steps: how many rates are tried, at least 50.

    Returns:
        A `RangeTest`.

    Raises:
        ValueError: an argument is wrong; nothing is trained then.
        KeyboardInterrupt, SystemExit: Ctrl-C, SIGTERM or SIGHUP, on the main thread.
    """
    network.needs_loss('find_learning_rate')
    samples, batch_size = ArrayData(network, x, y), positive_int(batch_size, 'batch_size')
    if len(samples) < batch_size:
        raise ValueError(f'batch_size: expected at most {len(samples)}, the number of samples, got {batch_size}')
    lowest, highest = non_negative(lowest, 'lowest'), non_negative(highest, 'highest')
    if not 0 < lowest < highest:
        raise ValueError(f'lowest, highest: expected 0 < lowest < highest, got {lowest:g} and {highest:g}')
    if positive_int(steps, 'steps') < LEAST_STEPS:
        raise ValueError(f'steps: expected at least {LEAST_STEPS}, got {steps}')
    rates = np.geomspace(lowest, highest, steps)
    # NumPy need not warn of what overflows: it ends the test.
    quiet = np.errstate(over='ignore', invalid='ignore')
    with Interruption() as interruption, network.plan.lock, _put_back(network) as generator, quiet:
        batches = _batches(samples, batch_size, make_generator(generator))
        first = list(itertools.islice(batches, SETTLED))
        before = np.array([_loss(network, *batch, interruption) for batch in first])
        # Layers that draw numbers draw the same again, or the losses would differ by them too.
        network.generator.bit_generator.state = generator
        losses = _losses(network, itertools.chain(first, batches), rates, before.mean(), interruption)
    return RangeTest(rates[: len(losses)], losses, *_suggestion(rates, losses, before))


def _losses(network, batches, rates, best, interruption):
    """Take a step at each rate; return the smoothed losses before the steps, (K,) float64."""
    update, average, losses = network.optimizer.prepare(network.trainable_parameters), Average(), []
    for rate, batch in zip(rates, batches, strict=False):
        loss = average.add(_loss(network, *batch, interruption))
        if not (np.isfinite(loss) and update.gradients_are_finite()):
            break
        if len(losses) >= SETTLED:
            if loss > TOO_HIGH * best:
                break
            best = min(best, loss)
        losses.append(loss)
        update(rate)
    return np.array(losses)


class Average:
    """The exponential average of numbers that come one by one."""

    def __init__(self):
        self._sum, self._kept = 0.0, 1.0

    def add(self, number):
        """Count a number in; return the average, without the share of the 0 that it began at."""
        self._sum = KEPT * self._sum + (1 - KEPT) * number
        self._kept *= KEPT
        return self._sum / (1 - self._kept)


def _loss(network, samples, index, interruption):
    """Write the gradients for a batch; return the mean of its losses; or leave, where a signal has come."""
    if interruption.signal is not None:
        interruption.leave()
    return network.plan.learn(samples, index)[0] / len(index)


def _batches(samples, batch_size, generator):
    """Yield (samples, index) for one whole batch after another, without end."""
    while True:
        order = generator.permutation(len(samples))
        for first in range(0, len(samples) - batch_size + 1, batch_size):
            yield samples, order[first : first + batch_size]


def _suggestion(rates, losses, before):
    """Return (suggestion, message); `before` are the losses of the first batches before the first step."""
    if not np.isfinite(before).all():
        return None, 'the loss is not finite before the first step; look at the data and the weights'
    start, average = before.mean(), Average()
    # Batches differ, so the average goes up and down by itself.
    noise = max(before.std(), LEAST_FALL * start)
    # The first steps are on the same batches.
    unchanged = [average.add(loss) for loss in before][-1]
    if len(losses) < SETTLED or abs(losses[SETTLED - 1] - unchanged) > noise / 2:
        return None, f'the loss changes at the lowest rates already; try a lowest of less than {rates[0]:g}'
    lowest = SETTLED - 1 + losses[SETTLED - 1 :].argmin()
    if not losses[lowest] < start - noise:
        return None, (
            f'the loss never fell from {start:.3g} by more than it differs from batch to batch; the network may have '
            'learned the data already, or try larger batches or more steps'
        )
    fell = f'the loss fell from {start:.3g} to {losses[lowest]:.3g}'
    if lowest == len(rates) - 1:
        return None, f'{fell}, and was still falling at {rates[-1]:g}; try a larger highest'
    return float(rates[lowest] / 10), f'{fell}, its lowest, at {rates[lowest]:.2g}, and a tenth of that is suggested'


@contextlib.contextmanager
def _put_back(network):
    """Lend the parameters with copies of what is remembered of them; put all back as it was, whatever happens.

    Gives the state of the network's generator.
    """
    generator = network.generator.bit_generator.state
    parameters = list(network.parameters.values())
    before = [(dict(vars(parameter)), parameter.value.copy()) for parameter in parameters]
    copies = [copy.deepcopy({k: v for k, v in held.items() if k not in ARRAYS}) for held, _ in before]
    try:
        for parameter, lent in zip(parameters, copies, strict=True):
            vars(parameter).update(lent)
        yield generator
    finally:
        for parameter, (held, value) in zip(parameters, before, strict=True):
            vars(parameter).clear()
            vars(parameter).update(held)
            parameter.value = value
        network.generator.bit_generator.state = generator
