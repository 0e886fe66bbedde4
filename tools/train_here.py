"""Train LeNet-5 for a few batches on the kernels that this processor gets, and say what came out.

Exits with an error unless the loss falls, agrees with that of the NumPy kernels, and has the same bits on one thread
and on two. Prints the tier, and a digest of losses and weights: equal digests, equal bits. .ci/emulate runs it under
processors that are not there.

Usage: python tools/train_here.py [TIER], the tier that is expected; 'numpy' for none.
"""

import hashlib
import sys

import numpy as np

import cnnx
from cnnx.data import preprocess_mnist_data
from cnnx.models import lenet5

SAMPLES = 320
BATCH = 64
EPOCHS = 2
# Of the loss on the two backends. Rounding alone makes it differ by 1e-6.
TOLERANCE = 1e-4


def main():
    config = cnnx.show_config()
    tier = config['cpu tier'] or 'numpy'
    if len(sys.argv) > 1 and tier != sys.argv[1]:
        sys.exit(f'expected tier {sys.argv[1]}, got {tier}')
    (x, y), _ = preprocess_mnist_data()
    runs = [train(x[:SAMPLES], y[:SAMPLES], threads) for threads in (1, 2)]
    with cnnx.use_backend('numpy'):
        expected, _ = train(x[:SAMPLES], y[:SAMPLES], 1)
    losses, digest = runs[0]
    print(f'losses: {losses}, on the NumPy kernels: {expected}')
    if runs[1] != runs[0]:
        sys.exit(f'two threads gave other bits than one: {runs[1]}')
    if not np.allclose(losses, expected, rtol=TOLERANCE):
        sys.exit(f'the losses are further apart than {TOLERANCE}')
    if not losses[-1] < losses[0]:
        sys.exit('the loss did not fall')
    print(f'digest of {tier}: {digest}')


def train(x, y, threads):
    """Return the losses of all epochs, and a digest of them and of the weights."""
    cnnx.set_num_threads(threads)
    network = lenet5(seed=1)
    history = network.train(x, y, epochs=EPOCHS, batch_size=BATCH, learning_rate=0.02, verbose=0)
    losses = history.history['loss']
    digest = hashlib.sha256(np.array(losses).tobytes())
    for parameter in network.parameters.values():
        digest.update(parameter.value.tobytes())
    return losses, digest.hexdigest()[:16]


if __name__ == '__main__':
    main()
