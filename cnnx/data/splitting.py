"""Splitting samples into a part to train on and a part to test on, class by class."""

import numbers

import numpy as np


def split(x, y, fraction=0.2, stratify=True, seed=0):
    """Split samples into a part to train on and a part to test on, both in a random order.

    Args:
        x: samples (N, ...).
        y: class labels (N,) or one-hot rows (N, classes); with stratify=False, any targets (N, ...).
        fraction: how much of the samples to test on.
        stratify: True takes that fraction of each class, but for one sample more or less, and gives both parts at least
            one sample of each class that has two; False takes it of all samples, whatever their classes.
        seed: of the random choice; the same one gives the same parts.

    Returns:
        ((x_train, y_train), (x_test, y_test)), which are copies.

    Raises:
        ValueError: x and y are not as many, fraction is not between 0 and 1, y holds no classes, or a part would be
            empty.
    """
    x, y = np.asarray(x), np.asarray(y)
    if x.ndim == 0 or y.ndim == 0 or len(x) != len(y):
        raise ValueError(f'split: expected as many samples as targets, got shapes {x.shape} and {y.shape}')
    if isinstance(fraction, bool) or not isinstance(fraction, numbers.Real) or not 0 < fraction < 1:
        raise ValueError(f'fraction: expected a number between 0 and 1, got {fraction!r}')
    order = np.random.default_rng(seed).permutation(len(x))
    tested = np.zeros(len(x), bool)  # by place in the order
    if stratify:
        _, labels, counts = np.unique(_labels(y)[order], return_inverse=True, return_counts=True)
        wanted = fraction * counts
        taken = np.floor(wanted).astype(int)
        # The classes with the largest remainders make up the number that the fraction of all comes to.
        taken[np.argsort(taken - wanted, kind='stable')[: round(fraction * len(x)) - taken.sum()]] += 1
        for label, count in enumerate(np.minimum(np.maximum(taken, 1), counts - 1)):
            tested[np.flatnonzero(labels == label)[:count]] = True
    else:
        tested[: round(fraction * len(x))] = True
    train, test = order[~tested], order[tested]
    if not len(train) or not len(test):
        raise ValueError(
            f'fraction: {fraction} of {len(x)} samples leaves nothing to {"test" if len(train) else "train"} on'
        )
    return (x[train], y[train]), (x[test], y[test])


def _labels(y):
    """Return class labels (N,) from such, or from one-hot rows, or raise a ValueError."""
    if y.ndim == 1 or y.shape[1:] == (1,):
        labels = y.reshape(-1)
        if labels.dtype.kind != 'f' or (labels == np.floor(labels)).all():
            return labels
    elif y.ndim == 2 and ((y == 1).sum(axis=1) == 1).all() and ((y != 0).sum(axis=1) == 1).all():
        return y.argmax(axis=1)
    raise ValueError(
        f'y: expected class labels (N,) or one-hot rows (N, classes), got {y.dtype} {y.shape}; for other targets, '
        'give stratify=False'
    )
