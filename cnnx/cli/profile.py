"""`cnnx profile`: where the time of a training step goes, for LeNet-5 or for a saved network."""

import numpy as np

from cnnx.cli.options import KERNELS, add_options, at_least_1
from cnnx.losses import CategoricalCrossEntropy
from cnnx.models import lenet5
from cnnx.network import Network


def add_arguments(parser):
    parser.add_argument('--model', metavar='FILE', help='a file of Network.save, or a checkpoint (LeNet-5)')
    parser.add_argument('--batch-size', type=at_least_1, default=64, metavar='N', help='samples in a step (64)')
    parser.add_argument('--repeats', type=at_least_1, default=30, metavar='N', help='how often to time a step (30)')
    add_options(parser, 'computation', *KERNELS)


def run(options):
    """Profile a network on random numbers, and print the table."""
    network = Network.load(options.model) if options.model else lenet5(seed=0)
    if network.loss is None:
        network.compile(CategoricalCrossEntropy())
    x, y = _random_batch(network, options.batch_size)
    network.profile(x, y, batch_size=options.batch_size, repeats=options.repeats)


def _random_batch(network, samples):
    """Return x and y that fit the network and its loss."""
    rng = np.random.default_rng(0)
    x = rng.random((samples, *network.input_shape), dtype=np.float32)
    outputs = network.layers[-1].shape
    if isinstance(network.loss, CategoricalCrossEntropy):
        return x, rng.integers(0, outputs[-1], (samples, *outputs[:-1]))
    y = rng.random((samples, *outputs), dtype=np.float32)
    return x, y / y.sum(axis=-1, keepdims=True)  # probabilities, which every other loss takes
