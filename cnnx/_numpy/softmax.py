"""Softmax, and softmax with cross-entropy as one step, which is numerically stable.

Letters: N samples, one row for each; C classes.
"""

import numpy as np

from cnnx._numpy.program import Block


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


class CrossEntropyBlock(Block):
    """Compute losses = -weight sum(target log softmax(logits)); dlogits = weight (softmax - target) / count.

    A sample has one row of logits, or several, each with its label; a row of a negative one has neither loss nor
    gradient. `count` is how many rows of the batch have labels, to set before a pass; 0 for all of them.
    """

    def __init__(self, logits, labels, dlogits, smoothing=0, weights=None):
        self.logits, self.labels, self.dlogits = logits, labels, dlogits
        self.smoothing, self.weights, self.count = smoothing, weights, 0
        self.losses = np.empty(labels.shape, logits.dtype)

    @np.errstate(over='ignore', invalid='ignore')
    def totals(self, samples):
        right = self.logits[:samples].argmax(axis=-1) == self.labels[:samples]
        return float(self.losses[:samples].sum(dtype=np.float64)), int(right.sum())

    def forward(self, samples, training):
        labels = self.labels[:samples].reshape(-1)
        logits, dlogits = (a[:samples].reshape(-1, a.shape[-1]) for a in (self.logits, self.dlogits))
        losses = self.losses[:samples].reshape(-1)
        kept = labels >= 0
        known = np.where(kept, labels, 0)
        softmax_cross_entropy_forward(logits, known, dlogits, losses, self.smoothing, 1)
        softmax_cross_entropy_backward(dlogits, known, dlogits, self.smoothing, 1)
        if self.count not in (0, len(labels)):
            dlogits *= len(labels) / self.count
        losses[~kept], dlogits[~kept] = 0, 0
        if self.weights is not None:
            weights = np.repeat(self.weights[:samples], len(labels) // self.weights[:samples].size)
            losses *= weights
            dlogits *= weights[:, None]


class SoftmaxBlock(Block):
    """Compute y = softmax(x), row by row, forward only."""

    def __init__(self, x, y):
        self.x, self.y = x, y

    def forward(self, samples, training):
        x, y = (a[:samples].reshape(-1, a.shape[-1]) for a in (self.x, self.y))
        softmax_forward(x, y, 1)
