"""Image augmentation: random changes of training images, and predictions averaged over small shifts."""

from cnnx._util.hints import explain_names, public_names
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

__getattr__, __dir__ = explain_names(__name__), public_names(__name__)
