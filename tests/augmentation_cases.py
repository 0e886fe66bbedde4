"""Images, and what augmentations make of them."""

import numpy as np

from cnnx import kernels
from cnnx.augmentation import Brightness, Contrast, Elastic, Erase, Flip, Rotate, Scale, Shear, Shift
from cnnx.augmentation.pipeline import Pipeline

ALL = [
    *(Shift(1.5), Rotate(20), Scale(0.2), Shear(15), Elastic(12, 2), Erase(0.7, 0.3, (0, 1)), Shift(1), Flip()),
    *(Rotate(20, 'edge'), Contrast(0.5), Shift(3, 'reflect'), Elastic(12, 2, 'reflect'), Brightness(0.1)),
]
# A row for each kind of augmentation.
AUGMENTATION_ARGUMENTS = {
    'Shift': (1.5,),
    'Rotate': (20, 'reflect'),
    'Scale': (0.2, True),
    'Shear': (20, 'edge'),
    'Flip': (True, True),
    'Crop': (2, 0.5),
    'Elastic': (8, 2),
    'Brightness': (0.3,),
    'Contrast': (0.5,),
    'Colour': (0.5, 0.1),
    'Erase': (0.5, 0.4, (0, 1)),
    'DigitShapes': (0.5,),
}
TOLERANCES = {'float32': 1e-5, 'float64': 1e-12}


def images(n=5, height=7, width=9, channels=2, dtype='float64', seed=0):
    return np.random.default_rng(seed).random((n, height, width, channels)).astype(dtype)


def resampled(x, matrices, displacements=None, threads=1, outside='fill', fill=0.0):
    """Return images at places that count from the first pixel."""
    y = np.full_like(x, np.nan)
    matrices = np.ascontiguousarray(np.broadcast_to(matrices, (len(x), 2, 3)), x.dtype)
    kernels.current().resample(x, y, matrices, displacements, outside, fill, threads)
    return y


def changed(x, augmentations, seed=0):
    y = x.copy()
    Pipeline(augmentations, x.shape[1:], x.dtype).change(y, np.random.default_rng(seed))
    return y


def about_the_middle(matrix, shape):
    """The same matrix for rows and columns that count from the first pixel."""
    there, back = np.eye(3), np.eye(3)
    there[:2, 2] = (shape[1] - 1) / 2, (shape[2] - 1) / 2
    back[:2, 2] = -there[:2, 2]
    return (there @ matrix @ back)[:2]


def field(n=3, height=9, width=20, sigma=2.0, alpha=5.0, key=7, dtype='float64', threads=1):
    displacements = np.full((n, 2, height, width), np.nan, dtype)
    elastic = Elastic(alpha, sigma)
    weights = elastic.weights(max(height, width)).astype(dtype)
    alpha = elastic.alpha / elastic.spacing
    kernels.current().elastic_fields(displacements, weights, elastic.spacing, key, alpha, threads)
    return displacements
