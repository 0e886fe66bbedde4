"""Softmax, and softmax with cross-entropy as one step, which is numerically stable.

Letters: N samples, one row for each; C classes.
"""

import numpy as np


def exponentials(x):
    """Return x - max, its exponential, which cannot overflow, and the sum of that, row by row."""
    shifted = x - x.max(axis=1, keepdims=True)
    powers = np.exp(shifted)
    return shifted, powers, powers.sum(axis=1, keepdims=True)


def softmax_forward(x, y, num_threads):
    """Compute y = exp(x - max) / sum exp(x - max), row by row."""
    _, powers, total = exponentials(x)
    np.divide(powers, total, out=y)


def softmax_backward(y, dy, dx, num_threads):
    """Compute dx = y (dy - sum(y dy)), row by row."""
    mean = (y * dy).sum(axis=1, keepdims=True)
    np.multiply(y, dy - mean, out=dx)


def check_labels(labels, C):
    """Raise a ValueError unless all labels are from 0 to C - 1, and C is at least 1."""
    if C == 0:
        raise ValueError('expected at least one class, got none')
    wrong = np.flatnonzero((labels < 0) | (labels >= C))
    if len(wrong):
        raise ValueError(f'labels: expected 0 to {C - 1}, got {labels[wrong[0]]} at position {wrong[0]}')


def softmax_cross_entropy_forward(logits, labels, probabilities, losses, smoothing, num_threads):
    """Compute probabilities = softmax(logits) and losses = -sum(target log probabilities).

    The target is 1 - smoothing + smoothing / C at the label, and smoothing / C at the other classes.
    """
    check_labels(labels, logits.shape[1])
    shifted, powers, total = exponentials(logits)
    np.divide(powers, total, out=probabilities)
    of_label = shifted[np.arange(len(labels)), labels]
    np.subtract(np.log(total[:, 0]), of_label, out=losses)
    if smoothing > 0:
        differences = logits - logits[np.arange(len(labels)), labels][:, None]
        losses -= smoothing * (differences / logits.shape[1]).sum(axis=1)  # their sum may overflow


def softmax_cross_entropy_backward(probabilities, labels, dlogits, smoothing, num_threads):
    """Compute dlogits = (probabilities - target) / N, the gradient of the mean loss."""
    N, C = probabilities.shape
    check_labels(labels, C)
    np.subtract(probabilities, smoothing / C, out=dlogits)
    dlogits[np.arange(N), labels] -= 1 - smoothing
    dlogits /= N
