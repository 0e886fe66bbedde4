"""The last block of a classifier: softmax alone, for prediction, or with cross-entropy, for training."""

import numpy as np

from cnnx._numpy.program import Block
from cnnx._numpy.softmax import softmax_cross_entropy_backward, softmax_cross_entropy_forward, softmax_forward


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
