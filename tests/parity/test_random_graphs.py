"""Random networks that branch and merge agree with PyTorch, where it is installed, in outputs and gradients."""

import numpy as np
import pytest
from graph_networks import data, random_graph

import cnnx

torch = pytest.importorskip('torch')
from benchmarks import torch_layers  # noqa: E402


def close(ours, theirs, dtype, what):
    expected = theirs.detach().numpy()
    scale = max(np.abs(expected).max(), 1e-3)
    tolerance = 1e-9 if dtype == 'float64' else 2e-3
    np.testing.assert_allclose(ours, expected, rtol=0, atol=tolerance * scale, err_msg=what)


@pytest.mark.usefixtures('each_backend')
@pytest.mark.parametrize('dtype', ['float64', 'float32'])
@pytest.mark.parametrize('seed', range(60))
def test_outputs_and_gradients_are_those_of_pytorch(seed, dtype):
    net = random_graph(seed, dtype=dtype)
    for layer in net.layers:
        if isinstance(layer, cnnx.Dropout):
            layer.rate = 0.0
    x, labels = data(5, seed, dtype)
    theirs = torch.from_numpy(x.astype('float64')).movedim(-1, 1).requires_grad_()
    parameters = [[torch.from_numpy(p.value.astype('float64')) for p in layer.parameters] for layer in net.layers]
    pairs = zip(net.parameters.items(), (tensor for each in parameters for tensor in each), strict=True)
    trainable = {name: tensor.requires_grad_() for (name, p), tensor in pairs if p.trainable}
    for training in (False, True):
        logits = torch_layers.run(net.layers[:-1], net.reads[:-1], theirs, parameters[:-1], training)
        loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(labels))
        gradients = torch.autograd.grad(loss, [theirs, *trainable.values()])
        y = net.forward(x, training=training)
        value, dy = net.loss.value_and_gradient(y, labels)
        dx = net.backward(dy)
        close(y, torch.softmax(logits, 1), dtype, 'outputs')
        close(value, loss, dtype, 'loss')
        close(dx, gradients[0].movedim(1, -1), dtype, 'gradient of the input')
        for (name, _), gradient in zip(trainable.items(), gradients[1:], strict=True):
            close(net.parameters[name].grad, gradient, dtype, name)


def test_the_graphs_have_all_these_layers():
    found = {type(layer).__name__ for seed in range(60) for layer in random_graph(seed).layers}
    signals = {'Convolutional1D', 'MaxPooling1D', 'AveragePooling1D'}
    assert found == torch_layers.TWINS.keys() - {'Flatten'} | signals
