"""An example with layers, gradients and optimizer of PyTorch: `python -m benchmarks.examples gan --full`.

The example itself runs, with its options, and with its data, batches, losses and learning rates. Initial weights are
those of cnnx; dropout differs.
"""

import argparse
import contextlib
import importlib
import sys
from pathlib import Path
from unittest import mock

from benchmarks import peer
from cnnx import network, num_threads
from cnnx.optimizers import SGD, Adam

EXAMPLES = sorted(path.stem for path in Path(__file__).parents[1].glob('examples/*.py'))


def in_pytorch():
    """Contexts in which networks, Adam and SGD of cnnx compute with PyTorch."""
    import torch

    from benchmarks.torch_plan import TorchPlan, TorchUpdate

    torch.set_num_threads(num_threads())

    def prepare(optimizer, parameters, work=0):
        return TorchUpdate(optimizer, parameters)

    yield mock.patch.multiple(network, Plan=TorchPlan, FusedPlan=TorchPlan)
    yield from (mock.patch.object(kind, 'prepare', prepare) for kind in (Adam, SGD))


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
    with contextlib.ExitStack() as contexts:
        for context in in_pytorch():
            contexts.enter_context(context)
        return importlib.import_module(f'examples.{settings.example}').main(rest)


if __name__ == '__main__':
    main()
