"""`cnnx augment`: draw digits of MNIST as data augmentation changes them."""

import numpy as np

from cnnx._util.figures import new_figure
from cnnx.augmentation import Elastic, Erase, Rotate, Scale, Shear, Shift
from cnnx.augmentation.pipeline import Pipeline
from cnnx.cli.drawing import picture_file
from cnnx.cli.options import at_least_0
from cnnx.data import preprocess_mnist_data

# What each row shows, stronger than digits need, so that it can be seen.
ROWS = {
    'originals': [],
    'Shift(3)': [Shift(3)],
    'Rotate(20)': [Rotate(20)],
    'Scale(0.25, each_axis=True)': [Scale(0.25, each_axis=True)],
    'Shear(20)': [Shear(20)],
    'Elastic(34, 4)': [Elastic(34, 4)],
    'Erase(1, 0.2)': [Erase(1, 0.2)],
    'Erase(1, 0.2, fill=(0, 1))': [Erase(1, 0.2, fill=(0, 1))],
    'all but Erase': [Shift(3), Rotate(20), Scale(0.25, each_axis=True), Shear(20), Elastic(34, 4)],
}
COLUMNS = 10


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
    digits = x[[int(column.argmax()) for column in y.T]]
    figure = new_figure(figsize=(COLUMNS, len(ROWS)))
    grid = figure.subplots(len(ROWS), COLUMNS)
    for line, (name, augmentations) in zip(grid, ROWS.items(), strict=True):
        images = digits.copy()
        Pipeline(augmentations, images.shape[1:], images.dtype).change(images, np.random.default_rng(seed))
        for axes, image in zip(line, images, strict=True):
            axes.imshow(image[:, :, 0], cmap='gray', vmin=0, vmax=1)
            axes.set(xticks=[], yticks=[])
        line[0].set_title(name, loc='left', fontsize=9)
    figure.savefig(path, dpi=80)
