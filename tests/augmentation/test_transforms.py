"""Which lists of augmentations and which arguments are taken, and how they are described."""

import json

import numpy as np
import pytest
from augmentation_cases import AUGMENTATION_ARGUMENTS

from cnnx.augmentation import (
    Brightness,
    Colour,
    Contrast,
    Crop,
    Elastic,
    Erase,
    Flip,
    Rotate,
    Scale,
    Shear,
    Shift,
)
from cnnx.augmentation.pipeline import Pipeline
from cnnx.augmentation.transforms import AUGMENTATIONS, as_augmentations


@pytest.mark.parametrize('wrong', [None, -1, np.nan, np.inf, 'far', True, 10**400, [1], 1j, 2**31])
def test_arguments_that_are_no_such_numbers_are_refused(wrong):
    for kind, name in (
        (Shift, 'pixels'), (Rotate, 'degrees'), (Scale, 'fraction'), (Shear, 'degrees'), (Elastic, 'alpha'),
        (lambda value: Elastic(1, value), 'sigma'), (Erase, 'probability'),
        (lambda value: Erase(0.5, value), 'fraction'), (Brightness, 'amount'), (Contrast, 'fraction'),
        (Colour, 'saturation'), (lambda value: Colour(0, value), 'hue'), (Crop, 'padding'),
    ):  # fmt: skip
        if name == 'sigma' and wrong == 2**31:
            continue
        with pytest.raises(ValueError, match=f'{name}: expected'):
            kind(wrong)


@pytest.mark.parametrize(
    ('make', 'message'),
    [
        (lambda: Rotate(180.1), 'degrees: expected a finite number of at least 0'),
        (lambda: Scale(1), 'fraction: expected a finite number of at least 0 and less than 1'),
        (lambda: Scale(0.1, 1), 'each_axis: expected True or False, got 1'),
        (lambda: Shear(90), 'degrees: expected a finite number of at least 0 and less than 90'),
        (lambda: Shift(1, fill=None), "fill: expected a finite number, 'edge' or 'reflect', got None"),
        (lambda: Shift(1, fill=np.nan), 'fill: expected a finite number'),
        (lambda: Crop(1.5), 'padding: expected a whole number of at least 0'),
        (lambda: Flip(1), 'horizontal: expected True or False, got 1'),
        (lambda: Flip(False), 'Flip: expected horizontal or vertical to be True'),
        (lambda: Contrast(1.1), 'fraction: expected a finite number of at least 0'),
        (lambda: Colour(0, 0.6), 'hue: expected a finite number of at least 0'),
        (lambda: Elastic(1, 0), 'sigma: expected a finite number of more than 0'),
        (lambda: Erase(1.01), 'probability: expected a finite number'),
        (lambda: Erase(1, 0), 'fraction: expected a finite number of more than 0'),
        (lambda: Erase(1, 1.5), 'fraction: expected at most 1'),
        (lambda: Erase(1, 0.5, 'white'), 'fill: expected a finite number, or a pair'),
        (lambda: Erase(1, 0.5, (1, 0)), 'fill: expected'),
        (lambda: Erase(1, 0.5, (0, 1, 2)), 'fill: expected'),
        (lambda: Erase(1, 0.5, np.nan), 'fill: expected'),
        (lambda: Erase(1, 0.5, 10**400), 'fill: expected'),
        (lambda: as_augmentations('Shift'), 'augment: expected a list such as'),
        (lambda: as_augmentations(Shift(1)), 'augment: expected a list such as'),
        (lambda: as_augmentations([Shift]), 'augment: expected objects of cnnx.augmentation'),
        (lambda: as_augmentations(['flip']), 'Shift, Rotate, Scale, Shear, Flip, .* functions .*got .flip.'),
        (lambda: as_augmentations([lambda images: images]), r'augment: expected a function of \(images, generator\)'),
        (lambda: Pipeline([Shift(1)], (784,), np.dtype('float32')), 'expected a network of images'),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_reason(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize('kind', AUGMENTATION_ARGUMENTS)
def test_settings_make_the_same_object_again_and_json_holds_them(kind):
    made = AUGMENTATIONS[kind](*AUGMENTATION_ARGUMENTS[kind])
    again = AUGMENTATIONS[kind](**json.loads(json.dumps(made.settings())))
    assert repr(again) == repr(made) == eval(repr(made), dict(AUGMENTATIONS)).__repr__()
