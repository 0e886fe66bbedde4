"""Calibration curves, by hand."""

import numpy as np
import pytest
from visual_networks import classifier, figure, images, texts

import cnnx
from cnnx.visual import calibration_curve, plot_calibration_curve


def passing(size):
    """Return a network that gives what it takes."""
    return cnnx.Network([cnnx.Flatten(input_shape=(size,))], seed=0, dtype='float64')


def test_by_hand():
    outputs = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.5, 0.5], [0.25, 0.75]])
    found = calibration_curve(passing(2), outputs, [0, 1, 1, 0, 0], n_bins=4)
    # Confidence 0.5 is in (0.25, 0.5]; 0.7 and 0.75 are in (0.5, 0.75]; 0.9 and 0.8 in (0.75, 1].
    np.testing.assert_array_equal(found.count, [0, 1, 2, 2])
    np.testing.assert_allclose(found.confidence, [np.nan, 0.5, 0.725, 0.85])
    np.testing.assert_allclose(found.accuracy, [np.nan, 1, 0.5, 0.5])
    np.testing.assert_allclose(found.expected_error, (1 * 0.5 + 2 * 0.225 + 2 * 0.35) / 5)


def test_a_single_output_is_the_probability_of_class_1():
    found = calibration_curve(passing(1), np.array([[0.2], [0.9], [0.6]]), [0, 1, 0], n_bins=2)
    np.testing.assert_array_equal(found.count, [0, 3])
    np.testing.assert_allclose(found.confidence[1], (0.8 + 0.9 + 0.6) / 3)
    np.testing.assert_allclose(found.accuracy[1], 2 / 3)


def test_logits_count_as_their_softmax():
    net, other = classifier(), classifier(end=None)
    x, y = images(20), np.arange(20) % 3
    np.testing.assert_allclose(calibration_curve(other, x, y).confidence, calibration_curve(net, x, y).confidence)


def test_probabilities_at_the_ends_have_a_bin():
    found = calibration_curve(passing(2), np.array([[1.0, 0], [1 + 1e-7, 0]]), [0, 0])
    np.testing.assert_array_equal(found.count, [0] * 9 + [2])
    assert found.expected_error < 1e-6


@pytest.mark.parametrize(
    ('outputs', 'y', 'bins', 'words'),
    [
        ([[3.0, -1]], [0], 10, 'outputs are probabilities'),
        ([[np.nan, 0.5]], [0], 10, 'outputs that are NaN or infinite'),
        ([[0.5, 0.5]], [0, 1], 10, 'expected as many samples as targets'),
        (np.empty((0, 2)), [], 10, 'expected as many samples as targets, and some'),
        ([[0.5, 0.5]], [0], 0, 'n_bins: expected'),
        ([[0.5, 0.5]], [2], 10, '^y'),
    ],
)
def test_what_has_no_calibration_is_refused(outputs, y, bins, words):
    with pytest.raises(ValueError, match=words):
        calibration_curve(passing(2), np.array(outputs), np.array(y, int), bins)


def test_the_picture_has_a_point_for_each_bin():
    net, x = classifier(), images(40)
    y = np.random.default_rng(0).integers(0, 3, 40)
    found, drawn = calibration_curve(net, x, y), figure(plot_calibration_curve, net, x, y)
    filled = found.count > 0
    points = np.asarray(drawn.axes[0].collections[0].get_offsets())
    np.testing.assert_allclose(points, np.stack([found.confidence, found.accuracy], axis=1)[filled])
    assert f'Calibration on 40 samples: expected error {found.expected_error:.3f}' in texts(drawn)
