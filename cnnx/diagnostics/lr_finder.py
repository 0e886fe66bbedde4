"""Learning-rate range test (Smith, 2015)."""

import contextlib
import copy
import itertools
from dataclasses import dataclass

import numpy as np

from cnnx._util.figures import drawn, new_figure
from cnnx._util.generators import make_generator
from cnnx._util.validation import non_negative, path_of_file, positive_int
from cnnx.training.array_data import ArrayData
from cnnx.training.signals import Interruption

# The number of steps before the moving average of the losses means something.
SETTLED = 10
LEAST_STEPS = 5 * SETTLED
# The decay rate of the moving average.
DECAY = 0.9
# Attributes of a parameter that kernels use directly: not the arrays, but their contents are restored.
ARRAYS = ('_value', '_grad')
# A loss has fallen if it has done so by more than this fraction.
LEAST_FALL = 0.02
# The test ends when the loss is so many times its lowest value.
TOO_HIGH = 4


@dataclass(frozen=True, eq=False)
class RangeTest:
    """The result of `Network.find_learning_rate`.

    Attributes:
        rates: the learning rates that were tried, in ascending order, (K,) float64.
        losses: the smoothed loss before the step at each rate, (K,) float64.
        suggestion: a learning rate to train at, or None if there is no suggestion.
        message: the reason for the suggestion, or why there is none.
    """

    rates: np.ndarray
    losses: np.ndarray
    suggestion: float | None
    message: str

    def __repr__(self):
        rate = 'no suggestion' if self.suggestion is None else f'suggestion {self.suggestion:.2g}'
        return f'RangeTest({rate}: {self.message})'

    def plot(self, path=None):
        """Draw the loss over the learning rate.

        Args:
            path: the file to draw into: .png, .svg or .pdf; or None.

        Returns:
            The figure, a `matplotlib.figure.Figure`, where there is no path: a notebook shows it.

        Raises:
            ImportError: matplotlib is not installed.
            OSError, ValueError: the file cannot be written, or its ending is not that of a picture.
        """
        path = None if path is None else path_of_file(path)
        figure = new_figure(figsize=(6, 3.6))
        axes = figure.subplots()
        axes.plot(self.rates, self.losses, label='smoothed loss')
        if self.suggestion is not None:
            axes.axvline(self.suggestion, color='C1', linestyle='--', label=f'suggestion: {self.suggestion:.2g}')
        axes.set(xlabel='learning rate', ylabel='loss', xscale='log')
        axes.grid(alpha=0.3)
        axes.legend()
        return drawn(figure, path)


def find_learning_rate(network, x, y, *, batch_size=32, lowest=1e-6, highest=10.0, steps=100):
    """Run a learning-rate range test: train while the learning rate rises exponentially, and record the loss.

    The test ends when the loss is 4 times its lowest value, or not finite. Then the weights, the state of the optimizer
    and the random generator are restored, also after an error or Ctrl-C. Samples are shuffled for each pass over the
    data; those after the last whole batch are not used.

    The suggestion is a tenth of the rate at which the smoothed loss is lowest. It is a starting point for this network,
    optimizer and batch size; a few times as much may be better.

    The other common rule, the rate of the steepest descent, was tried with LeNet-5 on 1,000 images of MNIST (SGD with
    momentum 0 or 0.9, batches of 32 or 128, five epochs, ten seeds). A tenth of the lowest reached mean test accuracies
    of 0.66 to 0.88 in these four settings, and never less than 0.5. The steepest descent was better in three of them,
    but in the fourth it suggested anything from 4e-6 to 0.5, and four of ten runs learned nothing.

    Source: Smith, "Cyclical learning rates for training neural networks", 2017 (arXiv 2015), section 3.3; Gugger,
    "How do you find a good learning rate", 2018, for smoothing and stopping.

    Args:
        network: a compiled `cnnx.Network`.
        x, y: samples and targets, as `train` takes them.
        batch_size: the number of samples in a batch, at most all.
        lowest, highest: the first and the last learning rate.
        steps: the number of rates to try, at least 50.

    Returns:
        A `RangeTest`.

    Raises:
        ValueError: an argument is wrong; nothing is trained then.
        KeyboardInterrupt, SystemExit: Ctrl-C, SIGTERM or SIGHUP, on the main thread.
    """
    network.needs_loss('find_learning_rate')
    data, batch_size = ArrayData(network, x, y), positive_int(batch_size, 'batch_size')
    if len(data) < batch_size:
        raise ValueError(f'batch_size: expected at most {len(data)}, the number of samples, got {batch_size}')
    lowest, highest = non_negative(lowest, 'lowest'), non_negative(highest, 'highest')
    if not 0 < lowest < highest:
        raise ValueError(f'lowest, highest: expected 0 < lowest < highest, got {lowest:g} and {highest:g}')
    if positive_int(steps, 'steps') < LEAST_STEPS:
        raise ValueError(f'steps: expected at least {LEAST_STEPS}, got {steps}')
    rates = np.geomspace(lowest, highest, steps)
    # An overflow ends the test; NumPy need not warn of it.
    quiet = np.errstate(over='ignore', invalid='ignore')
    with Interruption() as interruption, network.plan.lock, _restored_afterwards(network) as generator, quiet:
        batches = _batches(data, batch_size, make_generator(generator))
        first = list(itertools.islice(batches, SETTLED))
        before = np.array([_loss(network, *batch, interruption) for batch in first])
        # Layers such as Dropout draw the same numbers again, so that losses do not differ by these.
        network.generator.bit_generator.state = generator
        losses = _losses(network, itertools.chain(first, batches), rates, before.mean(), interruption)
    return RangeTest(rates[: len(losses)], losses, *_suggestion(rates, losses, before))


def _losses(network, batches, rates, best, interruption):
    """Take a step at each rate, and return the smoothed losses before the steps, (K,) float64."""
    update, average, losses = network.optimizer.prepare(network.trainable_parameters), MovingAverage(), []
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


class MovingAverage:
    """The exponential moving average of numbers, with bias correction."""

    def __init__(self):
        self._sum, self._weight_of_start = 0.0, 1.0

    def add(self, number):
        """Add a number, and return the average, corrected for its start at 0."""
        self._sum = DECAY * self._sum + (1 - DECAY) * number
        self._weight_of_start *= DECAY
        return self._sum / (1 - self._weight_of_start)


def _loss(network, data, index, interruption):
    """Compute the gradients for a batch and return its mean loss; leave if a signal has arrived."""
    if interruption.signal is not None:
        interruption.leave()
    loss, _, count = network.plan.forward_and_backward(data, index)
    return loss / max(count, 1)


def _batches(data, batch_size, generator):
    """Yield (data, index) for one whole batch after another, without end."""
    while True:
        order = generator.permutation(len(data))
        for first in range(0, len(data) - batch_size + 1, batch_size):
            yield data, order[first : first + batch_size]


def _suggestion(rates, losses, before):
    """Return (suggestion, message); `before` are the losses of the first batches with the initial weights."""
    if not np.isfinite(before).all():
        return None, 'the loss is not finite before the first step; check the data and the initial weights'
    start, average = before.mean(), MovingAverage()
    # Losses differ from batch to batch.
    noise = max(before.std(), LEAST_FALL * start)
    # The average over the same batches as those of the first steps, without any step.
    unchanged = [average.add(loss) for loss in before][-1]
    if len(losses) < SETTLED or abs(losses[SETTLED - 1] - unchanged) > noise / 2:
        return None, f'the loss changes at the lowest rates already; try a lowest of less than {rates[0]:g}'
    lowest = SETTLED - 1 + losses[SETTLED - 1 :].argmin()
    if not losses[lowest] < start - noise:
        return None, (
            f'the loss never fell from {start:.3g} by more than it differs from batch to batch; the network may be '
            'trained already; else try larger batches or more steps'
        )
    fell = f'the loss fell from {start:.3g} to {losses[lowest]:.3g}'
    if lowest == len(rates) - 1:
        return None, f'{fell}, and was still falling at {rates[-1]:g}; try a larger highest'
    return float(rates[lowest] / 10), f'{fell}, its lowest, at {rates[lowest]:.2g}; a tenth of that rate is suggested'


@contextlib.contextmanager
def _restored_afterwards(network):
    """Restore parameters, optimizer state and generator at the end of a `with` block, also after an error.

    Within the block, the parameters have copies of the optimizer state. Yields the state of the network's generator.
    """
    generator = network.generator.bit_generator.state
    parameters = list(network.parameters.values())
    before = [(dict(vars(parameter)), parameter.value.copy()) for parameter in parameters]
    copies = [copy.deepcopy({k: v for k, v in attributes.items() if k not in ARRAYS}) for attributes, _ in before]
    try:
        for parameter, attributes in zip(parameters, copies, strict=True):
            vars(parameter).update(attributes)
        yield generator
    finally:
        for parameter, (attributes, value) in zip(parameters, before, strict=True):
            vars(parameter).clear()
            vars(parameter).update(attributes)
            parameter.value = value
        network.generator.bit_generator.state = generator
