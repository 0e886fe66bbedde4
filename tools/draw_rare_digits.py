"""Draw digits of shapes that MNIST has few of, and count how many of them saved networks read right.

Usage: CNNX_DATA_DIR=DIR python tools/draw_rare_digits.py MODEL.npz ...

Prints, in percent: the last 10,000 training images of MNIST as they are, which networks that are compared must not have
been trained on; sevens and ones among them with drawn strokes; and digits of a few lines, drawn with random corners,
widths and slants and prepared as `cnnx predict` prepares pictures.
"""

import sys

import numpy as np
from PIL import Image, ImageDraw

from cnnx import Network
from cnnx.augmentation import DigitShapes
from cnnx.augmentation.pipeline import Pipeline
from cnnx.data import prepare_digit, preprocess_mnist_data

HELD_OUT = 10_000
EACH = 300
# Name, digit, and lines through points (x to the right, y down) of a unit square.
SHAPES = (
    ('1 with a flag', 1, [[(0.15, 0.35), (0.6, 0), (0.6, 1)]]),
    ('1 with a long flag', 1, [[(0, 0.5), (0.6, 0), (0.6, 1)]]),
    ('1 with flag and base', 1, [[(0.2, 0.32), (0.55, 0), (0.55, 1)], [(0.2, 1), (0.9, 1)]]),
    ('7 with a bar', 7, [[(0.05, 0), (0.95, 0), (0.4, 1)], [(0.3, 0.5), (0.95, 0.5)]]),
    ('4, open', 4, [[(0.3, 0), (0.1, 0.6), (0.95, 0.6)], [(0.7, 0.1), (0.7, 1)]]),
    ('4, closed', 4, [[(0.7, 1), (0.7, 0), (0.05, 0.65), (0.98, 0.65)]]),
)


def draw(lines, rng):
    """Return a picture (112, 112) of black lines on white."""
    width, slant, thickness = rng.uniform(80, 136), rng.uniform(-40, 40), rng.uniform(8, 24)
    image = Image.new('L', (280, 280), 255)
    canvas = ImageDraw.Draw(image)
    for line in lines:
        points = np.array(line) - 0.5 + rng.normal(0, 0.033, (len(line), 2))
        x, y = 140 + width * points[:, 0] - slant * points[:, 1], 140 + 160 * points[:, 1]
        corners = list(zip(x, y, strict=True))
        canvas.line(corners, fill=0, width=round(thickness), joint='curve')
        for x, y in corners:
            canvas.circle((x, y), thickness / 2, fill=0)
    return np.asarray(image.resize((112, 112), Image.Resampling.BOX), np.float32) / 255


def pictures():
    """Yield (name, images, digit or digits)."""
    (x, y), _ = preprocess_mnist_data(full=True)
    x, y = x[-HELD_OUT:], y[-HELD_OUT:]
    labels = y.argmax(axis=1)
    yield 'held-out images', x, labels
    changed = x.copy()
    Pipeline([DigitShapes(1)], x.shape[1:], x.dtype).change(changed, np.random.default_rng(0), y)
    for digit, name in ((7, 'sevens with a drawn bar'), (1, 'ones with drawn flag, base or both')):
        yield name, changed[labels == digit], digit
    rng = np.random.default_rng(5)
    for name, digit, lines in SHAPES:
        yield name, np.stack([prepare_digit(draw(lines, rng)).pixels for _ in range(EACH)]), digit


def main(paths):
    networks = [Network.load(path) for path in paths]
    for name, images, digits in pictures():
        right = [np.mean(network.predict_classes(images) == digits) for network in networks]
        print(f'{name:36}', *(f'{fraction:8.2%}' for fraction in right))


if __name__ == '__main__':
    main(sys.argv[1:])
