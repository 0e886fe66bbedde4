"""`python -m cnnx.augment --show FILE.png`: draw digits of the bundled subset as augmentations change them."""

import argparse
import sys
from pathlib import Path

import numpy as np

from cnnx.augmentation import Elastic, Erase, Rotate, Scale, Shear, Shift
from cnnx.augmentation.pipeline import Pipeline
from cnnx.cli.drawing import why_not_drawn
from cnnx.data import preprocess_mnist_data

# What each row shows: stronger than digits need, so that it is seen.
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


def main(arguments=None):
    """Draw, or say on stderr what is wrong and return 2."""
    parser = argparse.ArgumentParser(prog='python -m cnnx.augment', description=__doc__)
    parser.add_argument('--show', required=True, metavar='FILE.png', help='the picture to write')
    parser.add_argument('--seed', type=int, default=0, metavar='N', help='of what is random (default: 0)')
    options = parser.parse_args(arguments)
    path = Path(options.show)
    if wrong := why_not_drawn('--show', path):
        parser.error(wrong)
    if options.seed < 0:
        parser.error(f'--seed {options.seed}: expected a number of at least 0')
    show(path, options.seed)
    print(f'drew {path}')


def show(path, seed=0):
    """Draw the first image of each digit, and below it a row for each entry of `ROWS`."""
    from matplotlib.figure import Figure

    (x, y), _ = preprocess_mnist_data()
    digits = x[[int(column.argmax()) for column in y.T]]
    figure = Figure(figsize=(COLUMNS, len(ROWS)), layout='constrained')
    grid = figure.subplots(len(ROWS), COLUMNS)
    for line, (name, augmentations) in zip(grid, ROWS.items(), strict=True):
        images = digits.copy()
        Pipeline(augmentations, images.shape[1:], images.dtype).change(images, np.random.default_rng(seed))
        for axes, image in zip(line, images, strict=True):
            axes.imshow(image[:, :, 0], cmap='gray', vmin=0, vmax=1)
            axes.set(xticks=[], yticks=[])
        line[0].set_title(name, loc='left', fontsize=9)
    figure.savefig(path, dpi=80)


if __name__ == '__main__':
    sys.exit(main())
