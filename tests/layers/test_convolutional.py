"""Convolutional layers."""

import numpy as np
import pytest

from cnnx import Convolutional, MaxPooling, Network, ReLU


def sums_over_windows(image, kernel, stride, padding):
    """Convolve with ones, which counts the pixels of ones that each window covers."""
    layer = Convolutional(
        1,
        kernel,
        stride=stride,
        padding=padding,
        kernel_initializer=lambda rng, shape, dtype: np.ones(shape, dtype),
    )
    return layer.forward(np.ones((1, *image, 1), np.float32))[0, :, :, 0].tolist()


@pytest.mark.usefixtures('each_backend')
def test_same_padding_puts_the_odd_one_at_the_end():
    assert sums_over_windows((1, 4), (1, 3), 2, 'same') == [[3, 2]]
    assert sums_over_windows((1, 3), (1, 2), 1, 'same') == [[2, 2, 1]]
    assert sums_over_windows((4, 1), (4, 1), 1, 'same') == [[3], [4], [3], [2]]


@pytest.mark.usefixtures('each_backend')
def test_same_padding_gives_ceil_of_input_by_stride():
    layer = Convolutional(2, 5, stride=2, padding='same').set_up((28, 27, 1))
    assert layer.shape == (14, 14, 2)


@pytest.mark.usefixtures('each_backend')
def test_a_kernel_larger_than_its_input_is_refused():
    for layer in (Convolutional(1, (3, 6)), MaxPooling((3, 6))):
        with pytest.raises(ValueError, match='3 x 6 does not fit into an input of 5 x 5'):
            layer.set_up((5, 5, 1))


@pytest.mark.usefixtures('each_backend')
def test_a_one_by_one_image_and_a_one_by_one_kernel():
    layer = Convolutional(2, 1, stride=3, padding='same')
    layer.set_up((1, 1, 1))
    layer.weights = [[[[2, 3]]]]
    assert layer.forward([[[[5.0]]]]).tolist() == [[[[10, 15]]]]


@pytest.mark.usefixtures('each_backend')
def test_an_output_and_gradients_by_hand():
    layer = Convolutional(1, 2, input_shape=(2, 3, 1))
    layer.weights = np.array([[1, 2], [3, 4]]).reshape(2, 2, 1, 1)
    layer.bias = [100]
    x = np.array([[1, 2, 3], [4, 5, 6]]).reshape(1, 2, 3, 1)
    # The filter is not flipped: 1 1 + 2 2 + 3 4 + 4 5 = 37, and 1 2 + 2 3 + 3 5 + 4 6 = 47.
    assert layer.forward(x).reshape(-1).tolist() == [137, 147]
    dx = layer.backward(np.array([1, 10]).reshape(1, 1, 2, 1))
    assert dx.reshape(2, 3).tolist() == [[1, 12, 20], [3, 34, 40]]
    weights, bias = layer.parameters
    assert weights.grad.reshape(2, 2).tolist() == [[21, 32], [54, 65]]
    assert bias.grad.tolist() == [11]


@pytest.mark.usefixtures('each_backend')
def test_filters_sum_over_channels_and_have_a_bias_each():
    layer = Convolutional(2, 1, input_shape=(1, 1, 3))
    layer.weights = np.array([[1, 10], [2, 20], [3, 30]]).reshape(1, 1, 3, 2)
    layer.bias = [0.5, -0.5]
    assert layer.forward(np.array([1, 1, 2]).reshape(1, 1, 1, 3)).reshape(-1).tolist() == [9.5, 89.5]


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'num_filters': 0}, 'num_filters: expected a whole number of at least 1, got 0'),
        ({'kernel_size': (3, 0)}, 'kernel_size: expected a whole number of at least 1, got 0'),
        ({'stride': 1.5}, 'stride: expected a whole number or a pair'),
        ({'padding': 'full'}, "padding: expected 'valid', 'same', or a whole number.*got 'full'"),
        ({'l2': -1}, 'l2: expected a finite number of at least 0, got -1'),
        ({'input_shape': ()}, 'input_shape: expected a shape such as'),
        ({'kernel_initializer': 'he'}, 'he_normal'),
        ({'algorithm': 'fft'}, "algorithm: expected one of auto, direct, winograd, got 'fft'"),
        ({'algorithm': 'winograd', 'kernel_size': 5}, "algorithm: 'winograd' needs kernel_size 3, stride 1"),
        ({'algorithm': 'winograd', 'stride': 2}, "algorithm: 'winograd' needs kernel_size 3, stride 1"),
        ({'algorithm': 'winograd', 'groups': 2}, "algorithm: 'winograd' needs kernel_size 3, stride 1"),
    ],
)
def test_wrong_arguments_are_refused_by_name(arguments, message):
    with pytest.raises(ValueError, match=message):
        Convolutional(**({'num_filters': 2, 'kernel_size': 3} | arguments))


@pytest.mark.parametrize(
    ('settings', 'dtype', 'expected'),
    [
        ({}, 'float32', 'winograd'),
        ({}, 'float64', 'direct'),
        ({'algorithm': 'winograd'}, 'float64', 'winograd'),
        ({'algorithm': 'direct'}, 'float32', 'direct'),
        ({'stride': 2}, 'float32', 'direct'),
        ({'groups': 16}, 'float32', 'direct'),
        ({'num_filters': 7}, 'float32', 'direct'),
    ],
)
def test_which_algorithm_the_fast_path_takes(settings, dtype, expected, capsys):
    nets = []
    for fused in (True, False):
        layer = Convolutional(**({'num_filters': 16, 'kernel_size': 3} | settings), input_shape=(8, 8, 16))
        nets.append(Network([layer, ReLU()], dtype=dtype, seed=0, fused=fused))
    nets[0].summary()
    assert ('Winograd' in capsys.readouterr().out) == (expected == 'winograd')
    x = np.random.default_rng(0).normal(size=(3, 8, 8, 16))
    np.testing.assert_allclose(nets[0].predict(x), nets[1].predict(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(('filters', 'expected'), [(16, False), (24, True)])
def test_before_a_pooling_there_have_to_be_more_channels(filters, expected, capsys):
    layers = Convolutional(filters, 3, input_shape=(8, 8, filters)), ReLU(), MaxPooling(2)
    Network(layers, seed=0).summary()
    assert ('Winograd' in capsys.readouterr().out) == expected


def test_rows_of_numbers_are_refused():
    with pytest.raises(ValueError, match=r'Convolutional: expected input \(height, width, channels\), got \(784,\)'):
        Convolutional(2, 3).forward(np.zeros((1, 784)))


@pytest.mark.parametrize(('padding', 'dilation'), [(1, 2), ('same', (2, 1)), ((0, 2), 1)])
def test_settings_are_kept_as_they_were_given(padding, dilation):
    layer = Convolutional(4, 3, padding=padding, dilation=dilation, groups=2, input_shape=(9, 9, 2))
    assert (layer.padding, layer.dilation, layer.groups) == (padding, dilation, 2)
