"""Programs: sequences of blocks that run forward and backward over a batch."""

import numpy as np


class Block:
    """One or several layers that run as one unit: a forward and a backward pass."""

    def forward(self, samples, training):
        """Compute the outputs of the first `samples` rows."""

    def backward(self, samples):
        """Compute the gradients of the same rows' inputs, and those of the weights."""


class Gather(Block):
    """Copy the samples of a batch from the array of all samples."""

    def __init__(self, batch):
        self.batch = batch
        self.source = self.order = None

    def read_from(self, source):
        self.source = source

    def forward(self, samples, training):
        if self.source is None:
            return
        self.batch[:samples] = self.source[:samples] if self.order is None else self.source[self.order]


class Program:
    """Blocks that run one after another over batches of up to `capacity` samples.

    Here the whole batch goes through each block; the compiled twin goes tile by tile.
    """

    tile = None

    def __init__(self, blocks, capacity, most_threads=256, fixed_weights=False):
        self.blocks = blocks
        self.capacity = capacity

    @np.errstate(over='ignore', invalid='ignore')
    def run(self, samples, training, forward, backward, num_threads, order=None, begin=0, end=None):
        if not 0 <= samples <= self.capacity:
            raise ValueError(f'a program for {self.capacity} samples was given {samples}')
        if order is not None and len(order) != samples:
            raise ValueError(f'expected an order of {samples} samples, got {len(order)}')
        if samples == 0:
            return
        blocks = self.blocks[begin:end]
        for block in blocks if forward else ():
            if isinstance(block, Gather):
                block.order = order
            block.forward(samples, training)
        for block in reversed(blocks) if backward else ():
            block.backward(samples)
