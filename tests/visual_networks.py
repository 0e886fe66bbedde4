"""Small networks in float64 for the tests of pictures, and images for them."""

import numpy as np
import pytest

import cnnx


def classifier(channels=1, seed=0, fused=True, end=cnnx.Softmax, classes=3):
    """Return a compiled classifier of images (8, 7, channels) without kinks, so that differences are exact."""
    layers = (
        cnnx.Convolutional(4, 3, input_shape=(8, 7, channels)),
        cnnx.Tanh(),
        cnnx.AveragePooling(2),
        cnnx.Flatten(),
        cnnx.Dense(output_size=5),
        cnnx.Tanh(),
        cnnx.Dense(output_size=classes),
        *([] if end is None else [end()]),
    )
    net = cnnx.Network(layers, seed=seed, dtype='float64', fused=fused)
    loss = cnnx.BinaryCrossEntropy if classes == 1 else cnnx.CategoricalCrossEntropy
    net.compile(loss(from_logits=end not in (cnnx.Softmax, cnnx.Sigmoid)))
    return net


def images(n=3, channels=1, seed=0):
    return np.random.default_rng(seed).random((n, 8, 7, channels))


def figure(plot, *arguments, **settings):
    """Return the figure that a function draws, rendered once; skip the test where matplotlib is missing."""
    pytest.importorskip('matplotlib', reason='drawing needs matplotlib')
    drawn = plot(*arguments, **settings)
    assert drawn._repr_png_().startswith(b'\x89PNG')
    return drawn


def texts(figure):
    """Return all text of a figure that is not empty."""
    from matplotlib.text import Text

    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]
