"""Image augmentation: random changes of training images, and predictions averaged over small shifts."""

from cnnx.augmentation.test_time import predict_with_shifts
from cnnx.augmentation.transforms import (
    AUGMENTATIONS,
    Brightness,
    Colour,
    Contrast,
    Crop,
    DigitShapes,
    Elastic,
    Erase,
    Flip,
    Rotate,
    Scale,
    Shear,
    Shift,
)

__all__ = [
    'AUGMENTATIONS',
    'Brightness',
    'Colour',
    'Contrast',
    'Crop',
    'DigitShapes',
    'Elastic',
    'Erase',
    'Flip',
    'Rotate',
    'Scale',
    'Shear',
    'Shift',
    'predict_with_shifts',
]
