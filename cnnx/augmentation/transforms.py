"""All kinds of augmentation by name, and checks of the list that `train(augment=...)` takes."""

from cnnx.augmentation.base import Custom
from cnnx.augmentation.digit_shapes import DigitShapes
from cnnx.augmentation.geometric import Crop, Elastic, Flip, Rotate, Scale, Shear, Shift
from cnnx.augmentation.photometric import Brightness, Colour, Contrast, Erase

KINDS = Shift, Rotate, Scale, Shear, Flip, Crop, Elastic, Brightness, Contrast, Colour, Erase, DigitShapes
AUGMENTATIONS = {kind.__name__: kind for kind in KINDS}


def as_augmentations(augmentations):
    """Return a list of augmentations, empty for None; functions of (images, generator) become `Custom`.

    Raises:
        ValueError: it is no list, or one of its members is neither an augmentation nor such a function.
    """
    if augmentations is None:
        return []
    if not isinstance(augmentations, (tuple, list)):
        raise ValueError(f'augment: expected a list such as [Shift(2), Rotate(10)], got {augmentations!r}')
    return [_as_augmentation(augmentation) for augmentation in augmentations]


def _as_augmentation(given):
    if isinstance(given, (*KINDS, Custom)):
        return given
    if callable(given) and not isinstance(given, type):
        return Custom(given)
    known = ', '.join(AUGMENTATIONS)
    raise ValueError(
        f'augment: expected objects of cnnx.augmentation ({known}) or functions of (images, generator), got {given!r}'
    )


def describe(augmentations):
    """Return the class names and settings of augmentations as values that JSON can hold."""
    return [{'kind': type(augmentation).__name__, **augmentation.settings()} for augmentation in augmentations]
