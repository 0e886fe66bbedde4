"""The blocks where a network's branches meet or part: what Add and Concatenate do, and the sum of gradients."""

import numpy as np

from cnnx._numpy.program import Block


class AddBlock(Block):
    """Compute y = the sum of several x; y may be the first of them, and dy the first gradient."""

    def __init__(self, xs, y, dy=None, dxs=()):
        self.xs, self.y, self.dy, self.dxs = xs, y, dy, dxs

    def forward(self, samples, training):
        first, *others = (x[:samples] for x in self.xs)
        for other in others:
            first = np.add(first, other, out=self.y[:samples])

    def backward(self, samples):
        for dx in self.dxs:
            if dx is not None:
                dx[:samples] = self.dy[:samples]


class ForkBlock(Block):
    """Where several blocks read one output, its gradient is the sum of theirs: the others' are added to dy."""

    def __init__(self, dy, others):
        self.dy, self.others = dy, others

    def backward(self, samples):
        for other in self.others:
            self.dy[:samples] += other[:samples]


class ConcatenateBlock(Block):
    """Compute y = several x one after the other along an axis, from 1 on."""

    def __init__(self, xs, y, axis, dy=None, dxs=()):
        self.xs, self.y, self.axis, self.dy, self.dxs = xs, y, axis, dy, dxs

    def forward(self, samples, training):
        np.concatenate([x[:samples] for x in self.xs], axis=self.axis, out=self.y[:samples])

    def backward(self, samples):
        first = 0
        for x, dx in zip(self.xs, self.dxs, strict=False):
            last = first + x.shape[self.axis]
            if dx is not None:
                dx[:samples] = self.dy[(slice(samples), *[slice(None)] * (self.axis - 1), slice(first, last))]
            first = last
