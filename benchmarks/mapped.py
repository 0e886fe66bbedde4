"""Peak memory of training, evaluation and prediction from memory-mapped files, in MiB.

`python -m benchmarks.mapped SAMPLES`: samples of 1 KiB, as an array and as batches, with labels and with mapped targets
of 1/8 KiB. Pages of the files themselves, which the system frees when it needs memory, do not count. Only Linux
reports the two separately.
"""

import sys
import tempfile
import threading
from pathlib import Path

import numpy as np

import cnnx
from cnnx import CategoricalCrossEntropy, Dense, MeanSquaredError, Network, Softmax

FEATURES, TARGETS = 256, 128
BATCH_SIZE = 512


def measure(samples, folder):
    """Return the largest growth of the process's own memory, in MiB."""
    x = np.lib.format.open_memmap(Path(folder, 'x.npy'), 'w+', np.float32, (samples, FEATURES))
    x[::1000] = 1
    y = np.arange(samples) % 10
    masks = np.lib.format.open_memmap(Path(folder, 'masks.npy'), 'w+', np.uint8, (samples, TARGETS))
    masks[::1000] = 1
    net = new_network(CategoricalCrossEntropy(), Dense(FEATURES, 10), Softmax())
    regression = new_network(MeanSquaredError(), Dense(FEATURES, TARGETS))

    def batches():
        for first in range(0, samples, BATCH_SIZE):
            yield x[first : first + BATCH_SIZE], y[first : first + BATCH_SIZE]

    net.train(x[:BATCH_SIZE], y[:BATCH_SIZE], epochs=1, verbose=0)
    regression.train(x[:BATCH_SIZE], masks[:BATCH_SIZE], epochs=1, verbose=0)
    net.predict(x[:BATCH_SIZE])
    before, grown = own_memory(), []
    for work in (
        lambda: net.train(x, y, epochs=1, batch_size=BATCH_SIZE, verbose=0, validation_split=0.1),
        lambda: net.train(batches(), epochs=1, verbose=0),
        lambda: net.evaluate(x, y, metrics=['precision']),
        lambda: net.evaluate(batches()),
        lambda: regression.train(x, masks, epochs=1, batch_size=BATCH_SIZE, verbose=0, validation_split=0.1),
        lambda: regression.evaluate(x, masks),
    ):
        grown.append(peak_of(work) - before)
    for inputs in (x, (batch for batch, _ in batches())):
        outputs = net.predict(inputs)
        grown.append(own_memory() - before - outputs.nbytes / 2**20)
        del outputs
    return max(grown)


def new_network(loss, *layers):
    net = Network(seed=0)
    for layer in layers:
        net.add(layer)
    net.compile(loss)
    return net


def peak_of(work):
    """Return the peak of the process's own memory during some work, sampled every few milliseconds, in MiB."""
    done, most = threading.Event(), own_memory()

    def watch():
        nonlocal most
        while not done.wait(0.003):
            most = max(most, own_memory())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        work()
    finally:
        done.set()
        watcher.join()
    return max(most, own_memory())


def own_memory():
    """Return the own (anonymous) memory of this process, in MiB."""
    lines = Path('/proc/self/status').read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith('RssAnon'))) / 1024


def main():
    cnnx.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        print(f'{measure(int(sys.argv[1]), folder):.1f}')


if __name__ == '__main__':
    main()
