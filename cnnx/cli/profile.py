"""`python -m cnnx.profile`: where the time of a training step goes, for LeNet-5 or for a saved network."""

import argparse
import sys

import numpy as np

from cnnx import kernels
from cnnx.checkpoint import CheckpointError
from cnnx.diagnostics.profiler import measure_peak, profile
from cnnx.losses import CategoricalCrossEntropy
from cnnx.models import lenet5
from cnnx.network import Network

__all__ = ['main', 'measure_peak', 'profile']


def main(arguments=None):
    """Profile a network on random numbers, or say on stderr what is wrong and return 2."""
    parser = argparse.ArgumentParser(prog='python -m cnnx.profile', description=__doc__)
    parser.add_argument('--model', metavar='FILE', help='a file of Network.save, or a checkpoint (default: LeNet-5)')
    parser.add_argument('--batch-size', type=int, default=64, metavar='N', help='samples to a step (default: 64)')
    parser.add_argument('--threads', type=int, metavar='N', help='threads (default: one a processor)')
    parser.add_argument('--repeats', type=int, default=30, metavar='N', help='how often to time (default: 30)')
    options = parser.parse_args(arguments)
    try:
        if options.threads is not None:
            kernels.set_num_threads(options.threads)
        network = Network.load(options.model) if options.model else lenet5(seed=0)
        if network.loss is None:
            network.compile(CategoricalCrossEntropy())
        profile(network, *_random_batch(network, options.batch_size), options.batch_size, options.repeats)
    except (CheckpointError, OSError, ValueError) as error:
        print(f'{parser.prog}: {error}', file=sys.stderr)
        return 2
    return 0


def _random_batch(network, samples):
    """Return x and y that fit the network; a batch size that is none is told of by `profile`."""
    rng = np.random.default_rng(0)
    samples = max(samples, 1)
    x = rng.random((samples, *network.layers[0].input_shape), dtype=np.float32)
    outputs = network.layers[-1].shape
    if isinstance(network.loss, CategoricalCrossEntropy):
        return x, rng.integers(0, outputs[0], samples)
    return x, rng.random((samples, *outputs), dtype=np.float32)


if __name__ == '__main__':
    sys.exit(main())
