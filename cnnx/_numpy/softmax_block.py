"""The last block of a classifier: softmax alone, for prediction, or with cross-entropy, for training."""

import numpy as np

from cnnx._numpy.program import Block
from cnnx._numpy.softmax import softmax_cross_entropy_backward, softmax_cross_entropy_forward, softmax_forward


class CrossEntropyBlock(Block):
    """Compute losses = -weight sum(target log softmax(logits)); dlogits = weight (softmax - target) / N."""

    def __init__(self, logits, labels, dlogits, smoothing=0, weights=None):
        self.logits, self.labels, self.dlogits = logits, labels, dlogits
        self.smoothing, self.weights = smoothing, weights
        self.losses = np.empty(len(logits), logits.dtype)

    @np.errstate(over='ignore', invalid='ignore')
    def totals(self, samples):
        right = self.logits[:samples].argmax(axis=1) == self.labels[:samples]
        return float(self.losses[:samples].sum(dtype=np.float64)), int(right.sum())

    def forward(self, samples, training):
        logits, labels, dlogits = self.logits[:samples], self.labels[:samples], self.dlogits[:samples]
        losses = self.losses[:samples]
        softmax_cross_entropy_forward(logits, labels, dlogits, losses, self.smoothing, 1)
        softmax_cross_entropy_backward(dlogits, labels, dlogits, self.smoothing, 1)
        if self.weights is not None:
            losses *= self.weights[:samples]
            dlogits *= self.weights[:samples, None]


class SoftmaxBlock(Block):
    """Compute y = softmax(x), row by row, forward only."""

    def __init__(self, x, y):
        self.x, self.y = x, y

    def forward(self, samples, training):
        softmax_forward(self.x[:samples], self.y[:samples], 1)
