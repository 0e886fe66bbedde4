"""Grad-CAM."""

import numpy as np
import pytest
from visual_networks import classifier, figure, images, texts

import cnnx
from cnnx.visual import gradcam, plot_gradcam
from cnnx.visual.grad_cam import map_layer


def test_by_hand_for_a_network_that_ends_in_global_average_pooling():
    """Grad-CAM is then ReLU of the maps weighted by the dense layer's weights, over the positions."""
    layers = cnnx.Convolutional(4, 3, input_shape=(8, 7, 1)), cnnx.GlobalAveragePooling()
    net = cnnx.Network([*layers, cnnx.Dense(output_size=3), cnnx.Softmax()], seed=0, dtype='float64')
    x = images(2)
    maps, weights = net.activations(x, [0])[0], net.layers[2].weights
    expected = np.maximum(maps @ weights[:, 1] / (6 * 5), 0)
    assert expected.max() > 0
    np.testing.assert_allclose(gradcam(net, x, 1), expected, rtol=1e-9)


def test_the_weights_are_mean_gradients_by_difference():
    net, x = classifier(), images(1)
    maps = net.activations(x, [1])[0]
    weights = []
    for channel in range(4):
        scores = []
        for sign in (1, -1):
            h = maps.copy()
            h[..., channel] += sign * 1e-6
            for layer in net.layers[2:7]:
                h = layer.forward(h)
            scores.append(h[0, 2])
        weights.append((scores[0] - scores[1]) / 2e-6 / maps[0, ..., 0].size)
    expected = np.maximum(maps @ np.array(weights), 0)
    np.testing.assert_allclose(gradcam(net, x, 2, layer=1), expected, rtol=1e-4, atol=1e-9)


def test_the_layer_is_the_last_convolution_or_its_activation():
    assert map_layer(classifier()) == 1
    assert map_layer(classifier(), 2) == 2
    assert map_layer(classifier(), -8) == 0
    x = cnnx.Input((6, 6, 1))
    conv = cnnx.Convolutional(2, 3, padding='same')(x)
    other = cnnx.ReLU()(x)
    y = cnnx.Dense(2)(cnnx.Flatten()(cnnx.Concatenate()([conv, other])))
    assert map_layer(cnnx.Network(inputs=x, outputs=y, seed=0)) == 0


def test_a_layer_without_maps_is_refused():
    with pytest.raises(ValueError, match='layer: expected one that gives feature maps .* gives'):
        gradcam(classifier(), images(1), layer=4)
    with pytest.raises(ValueError, match='layer: expected an index from -8 to 7, got 8'):
        gradcam(classifier(), images(1), layer=8)
    flat = cnnx.Network([cnnx.Flatten(input_shape=(8, 7, 1)), cnnx.Dense(output_size=2)], seed=0)
    with pytest.raises(ValueError, match='expected a network with a Convolutional layer'):
        gradcam(flat, images(1))


def test_the_picture_names_the_layer():
    drawn = figure(plot_gradcam, classifier(), images(1)[0])
    assert any('Grad-CAM of layer 1 (Tanh)' in text for text in texts(drawn))
    assert len(drawn.axes) == 2
