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
from cnnx import num_threads

EXAMPLES = sorted(path.stem for path in Path(__file__).parents[1].glob('examples/*.py'))


def in_pytorch():
    """A context in which networks and Adam of cnnx compute with PyTorch."""
    import torch

    from benchmarks import torch_layers
    from cnnx import network
    from cnnx.execution.plan import Plan
    from cnnx.optimizers import Adam

    class TorchPlan(Plan):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            self._tensors = [[torch.from_numpy(p.value) for p in layer.parameters] for layer in self._layers]
            self._learned = [
                (parameter, tensor.requires_grad_())  # they share their memory
                for layer, tensors in zip(self._layers, self._tensors, strict=True)
                for parameter, tensor in zip(layer.parameters, tensors, strict=True)
                if parameter.learns
            ]

        def _forward(self, x, training):
            self._kept = None
            self._x = torch.from_numpy(x).movedim(-1, 1).requires_grad_()
            with torch.set_grad_enabled(training):
                self._y = torch_layers.run(self._layers, self._reads, self._x, self._tensors, training)
            return self._y.detach().movedim(1, -1).contiguous().numpy()

        def _backward(self, reads, runs, dy, wanted=None):
            of = [self._x, *(tensor for _, tensor in self._learned)]
            dx, *gradients = torch.autograd.grad(self._y, of, torch.from_numpy(dy).movedim(-1, 1))
            for (parameter, _), gradient in zip(self._learned, gradients, strict=True):
                parameter.grad[...] = gradient.numpy()
            for layer in self._penalized:
                layer.add_penalty_gradient()
            return [dx.movedim(1, -1).contiguous().numpy()]

    class TorchUpdate:
        def __init__(self, optimizer, parameters):
            tensors = [torch.from_numpy(parameter.value).requires_grad_() for parameter in parameters]
            for tensor, parameter in zip(tensors, parameters, strict=True):
                tensor.grad = torch.from_numpy(parameter.grad)
            betas = optimizer.beta_1, optimizer.beta_2
            self._adam = torch.optim.Adam(tensors, 1, betas, optimizer.epsilon, optimizer.weight_decay)
            self._gradients = [tensor.grad for tensor in tensors]

        def gradients_are_finite(self):
            return all(bool(gradient.isfinite().all()) for gradient in self._gradients)

        def __call__(self, learning_rate):
            self._adam.param_groups[0]['lr'] = learning_rate
            self._adam.step()

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
