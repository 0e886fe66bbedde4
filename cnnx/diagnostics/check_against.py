"""`Network.check_against`: whether a network gives what its origin gave, and the usual reasons why not."""

from dataclasses import dataclass

import numpy as np

from cnnx._util.arrays import as_numbers, softmax
from cnnx._util.validation import positive

# Reasons are looked for on so many samples.
SAMPLES = 256
# Of the data that many networks are trained on: mean and deviation by channel, of pixels from 0 to 1.
STATISTICS = {
    'ImageNet': ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    'MNIST': ((0.1307,), (0.3081,)),
}


@dataclass(frozen=True)
class Agreement:
    """What `Network.check_against` found. It is true where the outputs agree; printed, it is a line.

    Attributes:
        agrees: whether the outputs agree as they are.
        difference: the largest, as a fraction of the largest output; of class labels, the fraction that differs.
        reasons: what, all of it together, makes them agree: ('x is to be divided by 255', ...); empty where they
            agree already, or nothing was found.
    """

    agrees: bool
    difference: float
    reasons: tuple = ()

    def __bool__(self):
        return self.agrees

    def __str__(self):
        if self.agrees:
            return f'the outputs agree: they differ by at most {self.difference:.2g} of the largest'
        line = f'the outputs differ, by up to {self.difference:.2g} of the largest'
        return (
            f'{line}; they agree if {" and ".join(self.reasons)}' if self.reasons else f'{line}; no usual reason fits'
        )


def check_against(network, x, outputs, *, tolerance=1e-4):
    """Say whether the network gives what the one that it comes from gave, and if not, which usual reason fits.

    The usual reasons are pixels from 0 to 1 or to 255, mean and deviation, inverted images, the order of channels or of
    height and width, logits for probabilities, and classes that are counted from 1.

    Args:
        network: a `cnnx.Network`, such as one from another library.
        x: samples, as `predict` takes them.
        outputs: what the other one gave for them: numbers, or class labels (N,).
        tolerance: how much outputs may differ, as a fraction of the largest.

    Returns:
        An `Agreement`; print it.

    Raises:
        ValueError: x or outputs are no such arrays.
    """
    tolerance = positive(tolerance, 'tolerance')
    x, outputs = as_numbers(x, 'x'), as_numbers(outputs, 'outputs')
    if x.ndim < 1 or outputs.ndim < 1 or len(x) != len(outputs) or not len(x):
        raise ValueError(f'check_against: expected as many outputs as samples, got {outputs.shape} and {x.shape}')
    fits = x.shape[1:] == network.input_shape
    first = _difference(network.predict(x), outputs) if fits else np.inf
    if first <= tolerance:
        return Agreement(True, first)
    x, outputs, found = x[:SAMPLES], outputs[:SAMPLES], []
    for reason, change in _changes_of_input(x, network.input_shape):
        y = network.predict(change(x.astype(np.float64)))
        for of_outputs, ours, theirs in _changes_of_outputs(y, outputs):
            reasons = tuple(each for each in (reason, of_outputs) if each)
            if _difference(ours, theirs) <= tolerance:
                found.append(reasons)
    # The fewest changes that explain it; labels agree by chance more easily than numbers.
    return Agreement(False, first, min(found, key=len, default=()))


def _difference(ours, theirs):
    """Return the largest difference as a fraction of the largest output; infinity where shapes differ."""
    if theirs.ndim == 1 and ours.ndim == 2 and ours.shape[1] > 1:
        return float((ours.argmax(axis=1) != theirs).mean())
    if ours.size == theirs.size and ours.ndim != theirs.ndim:
        theirs = theirs.reshape(ours.shape)
    if ours.shape != theirs.shape:
        return np.inf
    with np.errstate(all='ignore'):
        difference = np.abs(ours.astype(np.float64) - theirs).max() / max(np.abs(theirs).max(), 1e-30)
    return np.inf if np.isnan(difference) else float(difference)


def _changes_of_input(x, shape):
    """Yield (reason, function of x): what x may have to become; nothing first."""
    changes = [
        ('', lambda x: x),
        ('x is divided by 255', lambda x: x / 255),
        ('x is multiplied by 255', lambda x: x * 255),
        ('x goes from -1 to 1, 2 x - 1', lambda x: 2 * x - 1),
        ('x goes from -1 to 1, x / 127.5 - 1', lambda x: x / 127.5 - 1),
        ('x goes from 0 to 1, (x + 1) / 2', lambda x: (x + 1) / 2),
        ('x is inverted, 1 - x', lambda x: 1 - x),
        ('x is inverted, 255 - x', lambda x: 255 - x),
        ('x is inverted and divided by 255, 1 - x / 255', lambda x: 1 - x / 255),
        ('x has its own mean subtracted and is divided by its deviation', _standardized),
    ]
    for name, (mean, deviation) in STATISTICS.items():
        if shape[-1] == len(mean):
            text = f'x has the mean of {name}, {mean}, subtracted and is divided by its deviation, {deviation}'
            changes.append((text, lambda x, m=mean, d=deviation: (x - m) / d))
            changes.append((f'x is divided by 255, then {text}', lambda x, m=mean, d=deviation: (x / 255 - m) / d))
            text = f'x is multiplied by the deviation of {name}, {deviation}, and its mean, {mean}, is added'
            changes.append((text, lambda x, m=mean, d=deviation: x * d + m))
    moves = [('', lambda x: x), ('the channels of x come in reverse order', lambda x: x[..., ::-1])]
    moves.append(('height and width of x are exchanged', lambda x: x.swapaxes(1, 2)))
    moves.append(('the channels of x are moved to the end', lambda x: np.moveaxis(x, 1, -1)))
    for move_text, move in moves:
        if not move_text or (x.ndim == len(shape) + 1 > 2 and move(x).shape[1:] == shape != (1,)):
            if move(x).shape[1:] != shape:
                continue
            for text, change in changes:
                yield ' and '.join(each for each in (move_text, text) if each), lambda x, m=move, c=change: c(m(x))


def _standardized(x):
    axes = tuple(range(x.ndim - 1))
    return (x - x.mean(axis=axes)) / np.maximum(x.std(axis=axes), 1e-12)


def _changes_of_outputs(ours, theirs):
    """Yield (reason, our outputs, theirs) as they may have to be compared."""
    yield '', ours, theirs
    if theirs.ndim == 1 and ours.ndim == 2:
        yield 'classes are counted from 1', ours, theirs - 1
        return
    if theirs.ndim > 2 and np.moveaxis(theirs, 1, -1).shape == ours.shape:
        yield 'the channels of the outputs are moved to the end', ours, np.moveaxis(theirs, 1, -1)
    if theirs.ndim == 2 and ours.shape == (len(theirs), theirs.shape[1] - 1):
        yield 'classes are counted from 1, 0 being none', ours, theirs[:, 1:]
    if theirs.shape == ours.shape:
        probabilities = softmax(ours.astype(np.float64))
        with np.errstate(all='ignore'):
            yield 'outputs are logarithms of probabilities', np.log(ours), theirs
            yield 'outputs are logarithms of probabilities: the network gives logits', np.log(probabilities), theirs
            yield 'outputs go through a sigmoid: the network gives logits', 1 / (1 + np.exp(-ours)), theirs
        yield 'outputs go through a softmax: the network gives logits', probabilities, theirs
        yield 'outputs are logits, and the network gives probabilities', ours, softmax(theirs.astype(np.float64))
