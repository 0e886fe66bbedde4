"""Saliency and SmoothGrad."""

import numpy as np
import pytest
from visual_networks import classifier, figure, images, texts

from cnnx.visual import plot_saliency, saliency
from cnnx.visual.class_gradients import class_gradients

STEP = 1e-6


def test_it_is_the_largest_change_of_the_score_over_channels():
    net, x = classifier(channels=3), images(2, channels=3)
    found = saliency(net, x, 0)
    assert found.shape == (2, 8, 7)
    for n, i, j in ((0, 0, 0), (0, 4, 3), (1, 7, 2)):
        changes = []
        for channel in range(3):
            above, below = x.copy(), x.copy()
            above[n, i, j, channel] += STEP
            below[n, i, j, channel] -= STEP
            difference = net.activations(above, [6])[0] - net.activations(below, [6])[0]
            changes.append(abs(difference[n, 0]) / (2 * STEP))
        np.testing.assert_allclose(found[n, i, j], max(changes), rtol=1e-5)


def test_smoothgrad_is_the_mean_of_gradients_at_noisy_images():
    net, x = classifier(), images(2)
    found = saliency(net, x, 1, smooth_samples=3, smooth_noise=0.1, seed=5)
    rng, total = np.random.default_rng(5), 0
    spread = np.array([each.max() - each.min() for each in x]).reshape(2, 1, 1, 1)
    for _ in range(3):
        total = total + class_gradients(net, x + 0.1 * spread * rng.standard_normal(x.shape), 1).of_input
    np.testing.assert_allclose(found, abs(total / 3)[..., 0], rtol=1e-9)


def test_without_noise_the_mean_is_the_gradient():
    net, x = classifier(), images(2)
    smooth = saliency(net, x, smooth_samples=2, smooth_noise=0)
    np.testing.assert_allclose(smooth, saliency(net, x), rtol=1e-9)
    assert (saliency(net, x, smooth_samples=2) != saliency(net, x, smooth_samples=2, seed=1)).any()


def test_a_single_image_will_do():
    net, x = classifier(), images(1)
    np.testing.assert_array_equal(saliency(net, x[0]), saliency(net, x))


@pytest.mark.parametrize(
    ('settings', 'words'),
    [
        ({'smooth_samples': -1}, 'smooth_samples: expected a whole number'),
        ({'smooth_noise': 'much'}, 'smooth_noise: expected a finite number'),
        ({'seed': None}, 'seed: expected a whole number'),
    ],
)
def test_what_does_not_fit_is_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        saliency(classifier(), images(1), **settings)


def test_the_picture_has_classes_and_outputs():
    net, x = classifier(), images(2)
    net.class_names = 'cat', 'dog', 'fox'
    drawn = figure(plot_saliency, net, x, [1, 2], smooth_samples=2)
    outputs = net.predict(x)
    title, *captions = texts(drawn)
    assert {f'dog: {outputs[0, 1]:.2f}', f'fox: {outputs[1, 2]:.2f}'} <= {title, *captions}
    assert any('SmoothGrad of 2 noisy copies' in text for text in texts(drawn))
    assert len(drawn.axes) == 4
