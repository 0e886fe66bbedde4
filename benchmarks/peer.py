"""The PyTorch side of a row. torch is imported where it is used, since most benchmarks do not need it."""

import importlib.util
import math

import numpy as np

from benchmarks.data import samples_for
from benchmarks.measure import DifferentWorkError
from benchmarks.models import MOMENTUM
from cnnx import (
    Add,
    BatchNormalization,
    Concatenate,
    Convolutional,
    Dense,
    Dropout,
    Flatten,
    GlobalAveragePooling,
    MaxPooling,
    ReLU,
    Softmax,
    TransposedConvolutional,
    UpSampling,
)
from cnnx.execution.graph import is_chain

LAYOUTS = {'PyTorch': False, 'channels_last': True}
TOLERANCE = 1e-4
# Relative to the change of the outputs by two training steps.
TOLERANCE_OF_CHANGE = 0.02


def missing():
    """Return None if PyTorch is installed, else a message."""
    if importlib.util.find_spec('torch') is None:
        return 'PyTorch is not installed: pip install -e ".[bench]"'
    return None


class Peer:
    """A PyTorch network with the weights of a cnnx network, used in the way that is usual in PyTorch.

    Args:
        name: a key of LAYOUTS.
        net: the cnnx network.
        x, y: samples as cnnx takes them: (N, H, W, C), labels (N,).
        batch_size, rate: of training.
    """

    def __init__(self, name, net, x, y, batch_size, rate):
        import torch

        self.torch, self.name, self.batch_size = torch, name, batch_size
        self.channels_last = LAYOUTS[name]
        self.module = to_pytorch(net)
        if self.channels_last:
            self.module = self.module.to(memory_format=torch.channels_last)
        self.x, self.y = self.arranged(x), torch.from_numpy(y)
        self.loss = torch.nn.CrossEntropyLoss()
        self.optimizer = torch.optim.SGD(self.module.parameters(), lr=rate, momentum=MOMENTUM)

    def arranged(self, x):
        """Convert samples to a tensor in the memory layout of the network."""
        as_it_is = self.channels_last or x.ndim == 2
        return self.torch.from_numpy(np.ascontiguousarray(x if as_it_is else x.transpose(0, 3, 1, 2)))

    def logits(self, arranged):
        images = self.channels_last and arranged.ndim == 4
        return self.module(arranged.permute(0, 3, 1, 2) if images else arranged)

    def train(self, first, count, shuffle=True):
        """Train on `count` samples, starting at index `first`."""
        order = self.torch.randperm(count) if shuffle else self.torch.arange(count)
        self.train_in_order(order + first)

    def train_in_order(self, order):
        """Train on the samples of these indices, batch by batch, and read the loss of each batch."""
        total = 0.0
        self.module.train()
        for first in range(0, len(order), self.batch_size):
            index = order[first : first + self.batch_size]
            self.optimizer.zero_grad()
            loss = self.loss(self.logits(self.x[index]), self.y[index])
            loss.backward()
            self.optimizer.step()
            total += loss.item() * len(index)
        if not math.isfinite(total):
            raise FloatingPointError(f'{self.name}: the loss is NaN or infinite')

    def infer(self, count, times=1, batch_size=None):
        """Compute the probabilities of the first samples, several times."""
        x = self.x[:count]
        self.module.eval()
        for _ in range(times):
            self.predict(x, batch_size or count)

    def probabilities(self, count):
        """Return the probabilities of the first samples' classes, (count, ..., classes)."""
        self.module.eval()
        return self.torch.cat(self.predict(self.x[:count], count)).movedim(1, -1).numpy()

    def predict(self, arranged, batch_size):
        """Return the probabilities of arranged samples, batch by batch, as tensors."""
        with self.torch.inference_mode():
            return [
                self.torch.softmax(self.logits(arranged[first : first + batch_size]), 1)
                for first in range(0, len(arranged), batch_size)
            ]


def make_peer(name, build, source, batch_size, rate, threads):
    """Return a `Peer` with the weights of a network of `build`, seed 0, and samples of `source` (see data.py)."""
    import torch

    torch.set_num_threads(threads)
    net = build()
    return Peer(name, net, *samples_for(net, source), batch_size, rate)


def to_pytorch(net):
    """Return a PyTorch module with the layers and weights of a cnnx network, without the Softmax at the end."""
    from torch import nn

    modules, flattened = [], None
    for layer in net.layers[:-1]:
        modules.append(_module(layer, flattened))
        if isinstance(layer, Flatten):
            flattened = layer.input_shape
        elif isinstance(layer, Dense):
            flattened = None
    if not isinstance(net.layers[-1], Softmax):
        raise NotImplementedError(f'expected a Softmax at the end, got {net.layers[-1]!r}')
    reads = net.reads[:-1]
    return nn.Sequential(*modules) if is_chain(reads) else _graph(modules, reads)


def _graph(modules, reads):
    """Return a module that gives to each of some modules what others, or the input, -1, gave."""
    from torch import nn

    class Graph(nn.Module):
        def __init__(self):
            super().__init__()
            self.steps = nn.ModuleList(modules)

        def forward(self, x):
            values = []
            for module, places in zip(self.steps, reads, strict=True):
                values.append(module(*(x if place < 0 else values[place] for place in places)))
            return values[-1]

    return Graph()


def _module(layer, flattened):
    """Return the PyTorch module of a layer; the input of a dense one had the shape `flattened`, or None."""
    import torch
    from torch import nn

    class Merge(nn.Module):
        def forward(self, *x):
            return sum(x[1:], x[0]) if isinstance(layer, Add) else torch.cat(x, 1)

    kind = type(layer)
    if kind is Convolutional:
        return _convolution(layer)
    if kind is TransposedConvolutional and layer.kernel_size == layer.stride:
        module = nn.ConvTranspose2d(layer.input_shape[2], layer.num_filters, layer.kernel_size, layer.stride)
        return _filled(module, torch.from_numpy(layer.weights).permute(3, 2, 0, 1), layer.bias)
    if kind is Dense:
        return _linear(layer, flattened)
    if kind is BatchNormalization:
        module = nn.BatchNorm1d if len(layer.shape) == 1 else nn.BatchNorm2d
        return module(layer.shape[-1], layer.epsilon, 1 - layer.momentum)  # weights are 1 and 0 in both
    if kind is MaxPooling:
        return nn.MaxPool2d(layer.pool_size, layer.stride)
    if kind is UpSampling and layer.interpolation == 'bilinear':
        return nn.Upsample(scale_factor=layer.size, mode='bilinear', align_corners=False)
    if kind is GlobalAveragePooling:
        return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    if kind is Add or (kind is Concatenate and layer.axis in (-1, 2)):
        return Merge()
    simple = {ReLU: nn.ReLU, Flatten: nn.Flatten, Dropout: lambda: nn.Dropout(layer.rate)}
    if kind not in simple:
        raise NotImplementedError(f'no PyTorch layer for {layer!r}')
    return simple[kind]()


def check_same_outputs(ours, peers, count=64):
    """Return the outputs of each side for the first samples; raise a DifferentWorkError unless they are the same."""
    outputs = [contestant.probabilities(count) for contestant in (ours, *peers)]
    for peer, theirs in zip(peers, outputs[1:], strict=True):
        difference = np.abs(theirs - outputs[0]).max()
        if not difference <= TOLERANCE:
            raise DifferentWorkError(f'{peer.name}: its outputs differ from ours by up to {difference:.2g}')
    return outputs


def check_same_work(ours, peers, count=64):
    """Raise a DifferentWorkError unless outputs, and what two training steps change in them, are the same.

    Args:
        ours, peers: sides with the same weights and samples.
        count: the number of samples whose outputs are compared.
    """
    contestants, changes = (ours, *peers), []
    before = check_same_outputs(ours, peers, count)
    for contestant, outputs in zip(contestants, before, strict=True):
        contestant.train(0, 2 * contestant.batch_size, False)
        changes.append(contestant.probabilities(count) - outputs)
    largest = np.abs(changes[0]).max()
    for peer, change in zip(peers, changes[1:], strict=True):
        difference = np.abs(change - changes[0]).max()
        if not difference <= TOLERANCE_OF_CHANGE * largest:
            raise DifferentWorkError(
                f'{peer.name}: two steps change its outputs differently from ours, '
                f'by up to {difference:.2g} of {largest:.2g}'
            )


def _convolution(layer):
    """Return the module of a convolution; in PyTorch, asymmetric padding needs a module of its own."""
    import torch
    from torch import nn

    (top, bottom), (left, right) = padding_of(layer)
    symmetric = top == bottom and left == right
    module = nn.Conv2d(
        layer.input_shape[2],
        layer.num_filters,
        layer.kernel_size,
        layer.stride,
        padding=(top, left) if symmetric else 0,
        groups=layer.groups,
        bias=layer.use_bias,
    )
    _filled(module, torch.from_numpy(layer.weights).permute(3, 2, 0, 1), layer.bias if layer.use_bias else None)
    return module if symmetric else nn.Sequential(nn.ZeroPad2d((left, right, top, bottom)), module)


def padding_of(layer):
    """Return the padding of a convolution, ((top, bottom), (left, right)), which PyTorch and ONNX take as numbers."""
    ends = []
    for axis in range(2):
        size, outputs = layer.input_shape[axis], layer.shape[axis]
        covered = (outputs - 1) * layer.stride[axis] + layer.kernel_size[axis]
        total = max(covered - size, 0) if layer.padding == 'same' else 0
        ends.append((total // 2, total - total // 2))
    return ends


def channels_first(weights, flattened):
    """Return the weights of a dense layer, after a Flatten of (H, W, C) or None, for inputs in the order (C, H, W)."""
    if flattened is None or len(flattened) != 3:
        return weights
    return weights.reshape(*flattened, -1).transpose(2, 0, 1, 3).reshape(weights.shape)


def _linear(layer, flattened):
    """Return the module of a dense layer; after Flatten, PyTorch orders its inputs channel by channel."""
    import torch
    from torch import nn

    weights = channels_first(layer.weights, flattened)
    module = nn.Linear(*weights.shape)
    return _filled(module, torch.from_numpy(np.ascontiguousarray(weights.T)), layer.bias)


def _filled(module, weights, bias):
    import torch

    with torch.no_grad():
        module.weight.copy_(weights)
        if bias is not None:
            module.bias.copy_(torch.from_numpy(bias))
    return module
