"""A network of cnnx that computes, and learns by Adam or SGD, with PyTorch."""

import torch

from benchmarks import torch_layers
from cnnx.execution.plan import Plan
from cnnx.optimizers import SGD, AdamW


class TorchPlan(Plan):
    """The plan of a network whose layers and gradients are PyTorch's; weights are shared with the network."""

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
    """A step of PyTorch's Adam or SGD, with the settings of that of cnnx, over parameters of cnnx."""

    def __init__(self, optimizer, parameters):
        tensors = [torch.from_numpy(parameter.value).requires_grad_() for parameter in parameters]
        for tensor, parameter in zip(tensors, parameters, strict=True):
            tensor.grad = torch.from_numpy(parameter.grad)
        decay = {'lr': 1.0, 'weight_decay': optimizer.weight_decay}
        if isinstance(optimizer, SGD):
            self._steps = torch.optim.SGD(tensors, momentum=optimizer.momentum, nesterov=optimizer.nesterov, **decay)
        else:
            betas = optimizer.beta_1, optimizer.beta_2
            kind = torch.optim.AdamW if isinstance(optimizer, AdamW) else torch.optim.Adam
            self._steps = kind(tensors, betas=betas, eps=optimizer.epsilon, **decay)
        self._gradients = [tensor.grad for tensor in tensors]

    def gradients_are_finite(self):
        return all(bool(gradient.isfinite().all()) for gradient in self._gradients)

    def __call__(self, learning_rate):
        self._steps.param_groups[0]['lr'] = learning_rate
        self._steps.step()
