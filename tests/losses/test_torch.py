"""Losses against PyTorch's, where it is installed."""

import numpy as np
import pytest
from loss_cases import predictions

import cnnx

torch = pytest.importorskip('torch')
SHAPES = (6, 4), (3, 5, 4), (2, 5, 3, 4)


def channels_first(array):
    return torch.from_numpy(np.moveaxis(array, -1, 1).copy()).requires_grad_()


def agrees(loss, y, targets, theirs, ours_to_theirs=lambda gradient: gradient):
    """Compare a loss and its gradient with PyTorch's: (loss, the tensor that the gradient is by)."""
    value, gradient = loss.value_and_gradient(y, targets)
    expected, by = theirs
    expected.backward()
    np.testing.assert_allclose(value, expected.item(), rtol=1e-12)
    np.testing.assert_allclose(ours_to_theirs(gradient), by.grad.numpy(), rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize('shape', SHAPES)
@pytest.mark.parametrize('ignored', [None, 2, 255])
@pytest.mark.parametrize('smoothing', [0.0, 0.2])
def test_categorical_cross_entropy(shape, ignored, smoothing):
    y, labels = predictions(shape, 'numbers'), np.random.default_rng(1).integers(0, 4, shape[:-1])
    if ignored == 255:
        labels[np.random.default_rng(2).random(labels.shape) < 0.3] = 255
    x = channels_first(y)
    options = {} if ignored is None else {'ignore_index': ignored}
    theirs = torch.nn.functional.cross_entropy(x, torch.from_numpy(labels), label_smoothing=smoothing, **options)
    loss = cnnx.CategoricalCrossEntropy(True, smoothing, ignored)
    agrees(loss, y, labels, (theirs, x), lambda gradient: np.moveaxis(gradient, -1, 1))


@pytest.mark.parametrize('shape', SHAPES)
@pytest.mark.parametrize('soft', [False, True])
def test_binary_cross_entropy(shape, soft):
    rng = np.random.default_rng(1)
    targets = rng.random(shape) if soft else rng.integers(0, 2, shape).astype(float)
    for kind, loss, theirs in (
        ('numbers', cnnx.BinaryCrossEntropy(from_logits=True), torch.nn.BCEWithLogitsLoss()),
        ('probabilities', cnnx.BinaryCrossEntropy(), torch.nn.BCELoss()),
    ):
        y = predictions(shape, kind)
        x = torch.from_numpy(y.copy()).requires_grad_()
        agrees(loss, y, targets, (theirs(x, torch.from_numpy(targets)), x))


@pytest.mark.parametrize('shape', SHAPES)
@pytest.mark.parametrize(
    ('loss', 'theirs'),
    [
        (cnnx.MeanSquaredError(), torch.nn.MSELoss()),
        (cnnx.MeanAbsoluteError(), torch.nn.L1Loss()),
        (cnnx.Huber(), torch.nn.HuberLoss()),
        (cnnx.Huber(0.3), torch.nn.HuberLoss(delta=0.3)),
    ],
)
def test_losses_of_quantities(shape, loss, theirs):
    y, targets = predictions(shape, 'numbers'), predictions(shape, 'numbers', 1)
    x = torch.from_numpy(y.copy()).requires_grad_()
    agrees(loss, y, targets, (theirs(x, torch.from_numpy(targets)), x))


@pytest.mark.parametrize('shape', SHAPES)
def test_kl_divergence(shape):
    y, targets = predictions(shape, 'rows'), predictions(shape, 'rows', 1)
    x = torch.from_numpy(y.reshape(-1, 4).copy()).requires_grad_()
    theirs = torch.nn.KLDivLoss(reduction='batchmean')(x.log(), torch.from_numpy(targets.reshape(-1, 4)))
    agrees(cnnx.KLDivergence(), y, targets, (theirs, x), lambda gradient: gradient.reshape(-1, 4))
