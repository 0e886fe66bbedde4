"""Programs of blocks, in plain NumPy: the whole batch goes through one block after the other."""


class Block:
    """Some layers that run as one: a forward pass over samples, and the backward pass over them."""

    def forward(self, samples, training):
        """Compute y of the first `samples` rows."""

    def backward(self, samples):
        """Compute dx of the same rows, and the gradients of the weights."""


class Gather(Block):
    """Copies the samples of a batch from where they stand among all samples."""

    def __init__(self, batch):
        self.batch = batch
        self.source = self.order = None

    def read_from(self, source):
        self.source = source

    def forward(self, samples, training):
        if self.source is not None:
            self.batch[:samples] = self.source[:samples] if self.order is None else self.source[self.order]


class Program:
    """Blocks in a row, over batches of up to `capacity` samples. There are no tiles, and no local arrays."""

    tile = None

    def __init__(self, blocks, capacity, most_threads=256):
        self.blocks = blocks
        self.capacity = capacity

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
