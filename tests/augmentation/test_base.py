"""Augmentations that are functions of one's own."""

import numpy as np
import pytest
from augmentation_cases import changed, images

from cnnx.augmentation import Shift
from cnnx.augmentation.base import Custom
from cnnx.augmentation.transforms import as_augmentations, describe


def add_noise(images, generator):
    return images + generator.normal(0, 0.1, images.shape)


def darken(images, generator):
    images *= 0.5
    return images


def test_a_function_gets_images_and_the_generator():
    x = images(dtype='float32')
    expected = x + np.random.default_rng(0).normal(0, 0.1, x.shape)
    np.testing.assert_allclose(changed(x, [add_noise]), expected, rtol=1e-6)
    assert changed(x, [add_noise]).dtype == x.dtype


def test_a_function_may_overwrite_its_images_and_stands_among_others():
    x = images()
    np.testing.assert_array_equal(changed(x, [Shift(2), darken, Shift(0)]), 0.5 * changed(x, [Shift(2)]))


def test_its_name_is_what_descriptions_say():
    made = as_augmentations([add_noise, Shift(1)])
    assert describe(made)[0] == {'kind': 'Custom', 'function': 'add_noise'}
    assert isinstance(made[0], Custom)
    assert as_augmentations(made) == made


@pytest.mark.parametrize(
    ('wrong', 'got'),
    [
        (lambda images: images[:, :2], r'returned \(5, 2, 9, 2\) float64'),
        (lambda images: images.astype(np.uint8), r'returned \(5, 7, 9, 2\) uint8'),
        (lambda images: None, 'returned None'),
    ],
)
def test_a_result_that_is_no_such_images_is_refused(wrong, got):
    def my_change(images, generator):
        return wrong(images)

    with pytest.raises(ValueError, match=rf'my_change has to return images \(5, 7, 9, 2\) float64, it {got}'):
        changed(images(), [my_change])
