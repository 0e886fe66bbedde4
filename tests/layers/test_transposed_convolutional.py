"""Transposed convolutions: sizes of Keras, PyTorch's numbers."""

import numpy as np
import pytest

from cnnx import TransposedConvolutional


@pytest.mark.parametrize(
    ('kernel', 'stride', 'padding', 'size'),
    [
        # As `keras.layers.Conv2DTranspose(1, kernel, strides=stride, padding=padding)` has them for 5 pixels.
        *((3, 2, 'same', 10), (3, 2, 'valid', 11), (2, 2, 'valid', 10), (1, 3, 'valid', 15), (5, 1, 'same', 5)),
        *((4, 2, 1, 10), (3, 1, 1, 5), (3, 2, 1, 9)),
    ],
)
def test_sizes(kernel, stride, padding, size):
    layer = TransposedConvolutional(1, (kernel, 2), stride=(stride, 2), padding=padding, input_shape=(5, 3, 2)).set_up()
    assert layer.shape[0] == size
    assert layer.forward(np.ones((1, 5, 3, 2))).shape == (1, *layer.shape)


@pytest.mark.usefixtures('each_backend')
def test_an_output_and_gradients_by_hand():
    layer = TransposedConvolutional(1, (1, 3), stride=(1, 2), input_shape=(1, 2, 1))
    layer.weights = np.array([1, 10, 100]).reshape(1, 3, 1, 1)
    layer.bias = [0.5]
    # 3 (1, 10, 100), and two pixels further 4 (1, 10, 100).
    assert layer.forward(np.array([3, 4]).reshape(1, 1, 2, 1)).ravel().tolist() == [3.5, 30.5, 304.5, 40.5, 400.5]
    dx = layer.backward(np.array([1, 0, 0, 2, 3]).reshape(1, 1, 5, 1))
    assert dx.ravel().tolist() == [1, 320]
    assert layer.parameters[0].grad.ravel().tolist() == [3, 8, 12]
    assert layer.parameters[1].grad.tolist() == [6]


@pytest.mark.usefixtures('each_backend')
def test_same_padding_cuts_the_odd_one_off_at_the_end():
    # As in Keras: of 3 pixels a step of 2 covers one twice, and the one too many lies at the end.
    layer = TransposedConvolutional(1, (1, 3), stride=(1, 2), padding='same', input_shape=(1, 2, 1))
    layer.weights = np.array([1, 10, 100]).reshape(1, 3, 1, 1)
    assert layer.forward(np.array([3, 4]).reshape(1, 1, 2, 1)).ravel().tolist() == [3, 30, 304, 40]


@pytest.mark.usefixtures('each_backend')
@pytest.mark.parametrize(
    ('kernel', 'stride', 'padding'), [((3, 4), (2, 3), 0), ((4, 4), (2, 2), 1), ((5, 3), 1, (2, 0))]
)
@pytest.mark.parametrize('use_bias', [True, False])
def test_outputs_and_gradients_are_those_of_pytorch(kernel, stride, padding, use_bias):
    torch = pytest.importorskip('torch')
    layer = TransposedConvolutional(4, kernel, stride=stride, padding=padding, use_bias=use_bias).set_up(
        (5, 6, 3), dtype='float64'
    )
    theirs = torch.nn.ConvTranspose2d(3, 4, kernel, stride, padding, bias=use_bias, dtype=torch.float64)
    theirs.weight.data[...] = torch.from_numpy(layer.weights).permute(3, 2, 0, 1)
    rng = np.random.default_rng(0)
    if use_bias:
        layer.bias = rng.normal(size=4)
        theirs.bias.data[...] = torch.from_numpy(layer.bias)
    x = torch.from_numpy(rng.normal(size=(2, 5, 6, 3))).requires_grad_()
    expected = theirs(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    y = layer.forward(x.detach().numpy())
    np.testing.assert_allclose(y, expected.detach().numpy(), rtol=1e-10, atol=1e-12)
    dy = rng.normal(size=y.shape)
    expected.backward(torch.from_numpy(dy))
    np.testing.assert_allclose(layer.backward(dy), x.grad.numpy(), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(layer.parameters[0].grad, theirs.weight.grad.permute(2, 3, 1, 0).numpy(), rtol=1e-10)
    if use_bias:
        np.testing.assert_allclose(layer.parameters[1].grad, theirs.bias.grad.numpy(), rtol=1e-10)


def test_multiply_adds_count_each_weight_for_each_pixel_of_the_input():
    layer = TransposedConvolutional(4, 3, stride=2, input_shape=(5, 6, 3)).set_up()
    assert layer.multiply_adds == 5 * 6 * 3 * 3 * 4 * 3


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'num_filters': 0}, 'num_filters: expected a whole number of at least 1, got 0'),
        ({'padding': 'full'}, "padding: expected 'valid', 'same'"),
        ({'padding': 9}, r'TransposedConvolutional: padding: 9 leaves nothing of an input of 5 x 5'),
        ({'input_shape': (5,)}, r'expected input \(height, width, channels\)'),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        TransposedConvolutional(**({'num_filters': 2, 'kernel_size': 3, 'input_shape': (5, 5, 1)} | arguments)).set_up()
