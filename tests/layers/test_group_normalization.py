"""Group and layer normalization: against PyTorch, by hand, and that a sample's batch makes no difference."""

import numpy as np
import pytest

from cnnx import GroupNormalization, LayerNormalization

SHAPES = [(7, 6), (3, 5, 6), (2, 4, 3, 12)]


def passes(layer, x, dy):
    y = layer.forward(x)
    return y, layer.backward(dy), *(parameter.grad for parameter in layer.parameters)


@pytest.mark.usefixtures('each_backend')
@pytest.mark.parametrize('groups', [1, 2, 6, None])
@pytest.mark.parametrize('shape', SHAPES)
def test_it_computes_what_pytorch_does(shape, groups):
    torch = pytest.importorskip('torch')
    layer = LayerNormalization(epsilon=1e-3) if groups is None else GroupNormalization(groups, epsilon=1e-3)
    layer.set_up(shape[1:], dtype='float64')
    options = {'eps': 1e-3, 'dtype': torch.float64}
    theirs = torch.nn.LayerNorm(shape[-1], **options)
    if groups is not None:
        theirs = torch.nn.GroupNorm(groups, shape[-1], **options)
    rng = np.random.default_rng(0)
    for parameter, other in zip(layer.parameters, (theirs.weight, theirs.bias), strict=True):
        parameter.value[...] = rng.uniform(0.5, 2, shape[-1])
        other.data[...] = torch.from_numpy(parameter.value.copy())
    x, dy = 3 + 2 * rng.normal(size=shape), rng.normal(size=shape)
    inputs = torch.from_numpy(x).requires_grad_()
    expected = theirs(inputs) if groups is None else theirs(inputs.movedim(-1, 1)).movedim(1, -1)
    expected.backward(torch.from_numpy(dy))
    results = expected.detach(), inputs.grad, theirs.weight.grad, theirs.bias.grad
    for ours, other in zip(passes(layer, x, dy), results, strict=True):
        np.testing.assert_allclose(ours, other.numpy(), rtol=1e-9, atol=1e-11)


@pytest.mark.usefixtures('each_backend')
def test_numbers_that_can_be_checked_by_hand():
    # Two pixels of two channels, all together of mean 4 and variance 5.
    x = np.array([[[1.0, 3], [5, 7]]]).reshape(1, 2, 2)
    y = GroupNormalization(1, epsilon=1e-12).forward(x)
    np.testing.assert_allclose(y, (x - 4) / np.sqrt(5), rtol=1e-9)
    np.testing.assert_allclose(GroupNormalization(2, epsilon=1e-12).forward(x), [[[-1, -1], [1, 1]]], rtol=1e-9)
    layer = LayerNormalization(epsilon=1e-12)
    np.testing.assert_allclose(layer.forward(x), [[[-1, 1], [-1, 1]]], rtol=1e-9)
    # Of two numbers, only their order is left: nothing changes with them.
    np.testing.assert_allclose(layer.backward(np.array([[[1.0, 2], [3, 5]]])), np.zeros((1, 2, 2)), atol=1e-9)
    assert [parameter.grad.round(9).tolist() for parameter in layer.parameters] == [[-4, 7], [4, 7]]


@pytest.mark.usefixtures('each_backend')
def test_numbers_far_from_0_keep_their_differences():
    x = (1000 + np.random.default_rng(0).normal(size=(5, 40, 64))).astype(np.float32)
    for layer, axes in ((LayerNormalization(), 2), (GroupNormalization(1), (1, 2))):
        y = layer.forward(x).astype(np.float64)
        np.testing.assert_allclose(y.mean(axis=axes), 0, atol=2e-3)
        np.testing.assert_allclose(y.var(axis=axes), 1, rtol=1e-3)


@pytest.mark.usefixtures('each_backend')
@pytest.mark.parametrize('layer', [GroupNormalization(2), LayerNormalization()])
def test_a_sample_alone_gives_the_same_bits(layer):
    x = np.random.default_rng(0).normal(size=(5, 4, 4, 6)).astype(np.float32)
    together = layer.forward(x, training=True)
    for i in range(5):
        assert (layer.forward(x[i : i + 1])[0] == together[i]).all()


@pytest.mark.usefixtures('compiled_kernels')
@pytest.mark.parametrize('several', [2, 3, 8])
def test_bits_do_not_depend_on_the_number_of_threads(several, threads):
    x, dy = np.random.default_rng(0).normal(size=(2, 150, 3, 3, 6)).astype(np.float32)
    for layer in (GroupNormalization(3), LayerNormalization()):
        found = set()
        for count in (1, several):
            threads(count)
            found.add(tuple(array.tobytes() for array in passes(layer, x, dy)))
        assert len(found) == 1


def test_a_frozen_layer_keeps_its_gradients():
    layer = GroupNormalization(1).set_up((2, 4))
    layer.trainable = False
    x = np.random.default_rng(0).normal(size=(3, 2, 4)).astype(np.float32)
    assert all((gradient == 0).all() for gradient in passes(layer, x, x)[2:])


@pytest.mark.parametrize(
    ('make', 'message'),
    [
        (lambda: GroupNormalization(0), 'groups: expected a whole number of at least 1'),
        (lambda: GroupNormalization(2, epsilon=0), 'epsilon: expected a finite number of more than 0'),
        (lambda: LayerNormalization(epsilon=-1), 'epsilon: expected a finite number of more than 0'),
        (lambda: GroupNormalization(2, input_shape=(4, 4, 3)).set_up(), 'expected a divisor of the 3 channels, got 2'),
    ],
)
def test_wrong_arguments_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
