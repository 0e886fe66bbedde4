"""Dropout: the random bits follow from a key and the position of a number, so no mask is stored."""

import numpy as np

from cnnx._numpy.program import Block


def random_bits(key, size):
    """Return the first `size` outputs of the generator splitmix64, seeded with `key`, (size,) uint64.

    Source: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014, with the
    constants of Vigna's splitmix64.c.
    """
    z = np.arange(1, size + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(key)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def dropout_forward(x, y, key, rate, num_threads):
    """Compute y = 0 with probability `rate`, else x / (1 - rate)."""
    if not 0 <= rate < 1:
        raise ValueError(f'rate: expected at least 0 and less than 1, got {rate}')
    dropped = random_bits(key, x.size) < np.uint64(int(rate * 2.0**64))
    y[...] = np.where(dropped, 0, x.dtype.type(1 / (1 - rate)) * x)


def dropout_backward(dy, dx, key, rate, num_threads):
    """Compute dx = 0 where dropout_forward drops with the same key, else dy / (1 - rate)."""
    dropout_forward(dy, dx, key, rate, num_threads)


class DropoutBlock(Block):
    """Compute y = 0 with probability `rate`, else x / (1 - rate)."""

    def __init__(self, x, y, dy=None, dx=None):
        self.x, self.y, self.dy, self.dx = (None if a is None else a.reshape(len(a), -1) for a in (x, y, dy, dx))
        self.key, self.rate = 0, 0.0

    def draw(self, key, rate):
        self.key, self.rate = key, rate

    def forward(self, samples, training):
        dropout_forward(self.x[:samples].reshape(-1), self.y[:samples].reshape(-1), self.key, self.rate, 1)

    def backward(self, samples):
        if self.dx is not None:
            dropout_backward(self.dy[:samples].reshape(-1), self.dx[:samples].reshape(-1), self.key, self.rate, 1)
