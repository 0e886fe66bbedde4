"""Train, evaluate and predict from a mapped file, and print what memory of its own that took, in MiB.

`python -m benchmarks.mapped SAMPLES`: 1 KiB each, as an array and as batches. Pages of the file itself, which the
system takes back as it needs them, do not count. Linux alone tells the two apart.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

import cnnx
from cnnx import CategoricalCrossEntropy, Dense, Network, Softmax

FEATURES = 256
BATCH_SIZE = 512


def measure(samples, folder):
    """Return by how many MiB the process's own memory has grown at the end of each kind of work, at most."""
    x = np.lib.format.open_memmap(Path(folder, 'x.npy'), 'w+', np.float32, (samples, FEATURES))
    x[::1000] = 1
    y = np.arange(samples) % 10
    net = Network(seed=0)
    for layer in (Dense(FEATURES, 10), Softmax()):
        net.add(layer)
    net.compile(CategoricalCrossEntropy())

    def batches():
        for first in range(0, samples, BATCH_SIZE):
            yield x[first : first + BATCH_SIZE], y[first : first + BATCH_SIZE]

    net.train(x[:BATCH_SIZE], y[:BATCH_SIZE], epochs=1, verbose=0)
    net.predict(x[:BATCH_SIZE])
    before, grown = own_memory(), []
    for work in (
        lambda: net.train(x, y, epochs=1, batch_size=BATCH_SIZE, verbose=0, validation_split=0.1),
        lambda: net.train(batches(), epochs=1, verbose=0),
        lambda: net.evaluate(x, y, metrics=['precision']),
        lambda: net.evaluate(batches()),
    ):
        work()
        grown.append(own_memory() - before)
    for inputs in (x, (batch for batch, _ in batches())):
        outputs = net.predict(inputs)
        grown.append(own_memory() - before - outputs.nbytes / 2**20)
        del outputs
    return max(grown)


def own_memory():
    """Return the MiB that this process has for itself."""
    lines = Path('/proc/self/status').read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith('RssAnon'))) / 1024


def main():
    cnnx.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        print(f'{measure(int(sys.argv[1]), folder):.1f}')


if __name__ == '__main__':
    main()
