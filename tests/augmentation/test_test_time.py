"""Predictions averaged over shifts of images."""

import itertools

import numpy as np
import pytest
from models import small_data, small_network

from cnnx.augmentation.test_time import predict_with_shifts


def flat(x):
    return x.reshape(len(x), -1)


@pytest.mark.parametrize('pixels', [1, 2])
def test_each_place_counts_once_and_zeros_come_in_at_the_edges(pixels):
    x = np.zeros((2, 7, 6, 1))
    x[0, 3, 3], x[1, 0, 0] = 1, 1
    found = predict_with_shifts(flat, x, pixels).reshape(2, 7, 6) * (2 * pixels + 1) ** 2
    expected = np.zeros((2, 7, 6))
    expected[0, 3 - pixels : 4 + pixels, 3 - pixels : 4 + pixels] = 1
    expected[1, : pixels + 1, : pixels + 1] = 1
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_no_pixels_are_the_images_as_they_are():
    net, (x, _) = small_network(), small_data(5)
    assert predict_with_shifts(net.predict, x, 0).tobytes() == net.predict(x).tobytes()


def test_a_networks_probabilities_are_averaged():
    net, (x, _) = small_network(), small_data(5)
    x[:, [0, -1]] = x[:, :, [0, -1]] = 0
    shifts = itertools.product((-1, 0, 1), repeat=2)
    expected = np.mean([net.predict(np.roll(x, shift, axis=(1, 2))) for shift in shifts], axis=0)
    found = predict_with_shifts(net.predict, x)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-6)
    assert found.dtype == net.dtype


@pytest.mark.parametrize(
    ('shape', 'pixels', 'message'),
    [
        ((8, 8, 1), 1, r'x: expected images \(N, height, width, channels\), got shape \(8, 8, 1\)'),
        ((2, 8, 5, 1), 5, 'pixels: expected less than the 8 x 5 of the images, got 5'),
        ((2, 8, 8, 1), -1, 'pixels: expected a whole number of at least 0, got -1'),
        ((2, 8, 8, 1), 0.5, 'pixels: expected a whole number of at least 0, got 0.5'),
    ],
)
def test_what_cannot_be_shifted_is_refused(shape, pixels, message):
    with pytest.raises(ValueError, match=message):
        predict_with_shifts(flat, np.zeros(shape), pixels)
