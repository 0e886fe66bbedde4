"""An example with layers, gradients and optimizer of PyTorch: `python -m benchmarks.examples gan --full`.

The example itself runs, with its options, and with its data, batches, losses and learning rates. Initial weights are
those of cnnx; dropout differs.
"""

import argparse
import importlib
import sys
from pathlib import Path
from unittest import mock

from benchmarks import peer
from cnnx import network, num_threads
from cnnx.optimizers import Adam

EXAMPLES = sorted(path.stem for path in Path(__file__).parents[1].glob('examples/*.py'))


def in_pytorch():
    """Two contexts, in which networks and Adam of cnnx compute with PyTorch."""
    import torch

    from benchmarks.torch_plan import TorchPlan, TorchUpdate

    torch.set_num_threads(num_threads())
    return (
        mock.patch.multiple(network, Plan=TorchPlan, FusedPlan=TorchPlan),
        mock.patch.object(Adam, 'prepare', lambda optimizer, parameters, work=0: TorchUpdate(optimizer, parameters)),
    )


def main(arguments=None):
    parser = argparse.ArgumentParser(
        prog='python -m benchmarks.examples',
        description='Run an example with PyTorch in place of the layers, gradients and optimizer of cnnx.',
        epilog='Further options are those of the example. PyTorch keeps its own state of the optimizer: no --resume.',
    )
    parser.add_argument('example', choices=EXAMPLES)
    settings, rest = parser.parse_known_args(arguments)
    if reason := peer.missing():
        sys.exit(f'python -m benchmarks.examples: {reason}')
    networks, optimizer = in_pytorch()
    with networks, optimizer:
        return importlib.import_module(f'examples.{settings.example}').main(rest)


if __name__ == '__main__':
    main()
