"""`cnnx augment`: draw digits of MNIST as data augmentation changes them."""

import numpy as np

from cnnx._util.figures import new_figure
from cnnx.augmentation import (
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
from cnnx.augmentation.pipeline import Pipeline
from cnnx.cli.drawing import picture_file
from cnnx.cli.options import at_least_0
from cnnx.data import preprocess_mnist_data

# What each row shows, stronger than digits need, so that it can be seen.
ROWS = {
    'originals': [],
    'Shift(3)': [Shift(3)],
    "Shift(8, fill='edge')": [Shift(8, fill='edge')],
    "Shift(8, fill='reflect')": [Shift(8, fill='reflect')],
    'Rotate(20)': [Rotate(20)],
    'Scale(0.25, each_axis=True)': [Scale(0.25, each_axis=True)],
    'Shear(20)': [Shear(20)],
    'Flip()': [Flip()],
    'Crop(4)': [Crop(4)],
    'Elastic(34, 4)': [Elastic(34, 4)],
    'Brightness(0.3)': [Brightness(0.3)],
    'Contrast(0.6)': [Contrast(0.6)],
    'Colour(0.5, 0.2)': [Colour(0.5, 0.2)],
    'Erase(1, 0.2)': [Erase(1, 0.2)],
    'Erase(1, 0.2, fill=(0, 1))': [Erase(1, 0.2, fill=(0, 1))],
    'DigitShapes(1)': [DigitShapes(1)],
    'those that suit digits': [
        DigitShapes(1),
        Shift(3),
        Rotate(20),
        Scale(0.25, each_axis=True),
        Shear(20),
        Elastic(34, 4),
    ],
}
INK, PAPER = np.array([1, 0.8, 0.3]), np.array([0.15, 0.25, 0.5])  # colours, so that every kind can be seen


def add_arguments(parser):
    parser.add_argument('--show', type=picture_file, required=True, metavar='FILE.png', help='the picture to write')
    parser.add_argument('--seed', type=at_least_0, default=0, metavar='N', help='of the random changes (0)')


def run(options):
    """Draw the picture."""
    show(options.show, options.seed)
    print(f'drew {options.show}')


def show(path, seed=0):
    """Draw the first image of each digit, and below it a row for each entry of `ROWS`."""
    (x, y), _ = preprocess_mnist_data()
    first = [int(column.argmax()) for column in y.T]
    digits, labels = x[first], y[first]
    coloured = (PAPER + (INK - PAPER) * digits).astype(x.dtype)
    figure = new_figure(figsize=(len(digits), 1.2 * len(ROWS)))
    for axes, (name, augmentations) in zip(figure.subplots(len(ROWS)), ROWS.items(), strict=True):
        for_digits = any(isinstance(augmentation, DigitShapes) for augmentation in augmentations)
        images = (digits if for_digits else coloured).copy()
        pipeline = Pipeline(augmentations, images.shape[1:], images.dtype)
        pipeline.change(images, np.random.default_rng(seed), labels)
        images = np.broadcast_to(images.clip(0, 1), coloured.shape)
        apart = np.pad(images, ((0, 0), (0, 0), (0, 2), (0, 0)), constant_values=1)
        axes.imshow(np.hstack(list(apart)))
        axes.axis('off')
        axes.set_title(name, loc='left', fontsize=9)
    figure.savefig(path, dpi=60)
