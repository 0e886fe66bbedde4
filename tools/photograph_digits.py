"""Draw photographs, scans and drawings of MNIST's digits, as people make them, of 23 kinds.

Usage: python tools/photograph_digits.py FOLDER [--kinds felt,pencil] [--count 10] [--seed 0]. The same seed gives the
same pictures again. `python -m tools.read_own_digits` measures how many of them a network reads. Settings may be
chosen on any seed but TEST_SEEDS, which are for the figures in the documentation.
"""

import argparse
import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from cnnx.data import preprocess_mnist_data

TEST_SEEDS = (7001, 7002, 7003)
LENGTH = 120  # of a digit while its middle lines are looked for, in pixels
# The eight neighbours in a circle, from the one above, as offsets into an array that is padded by one.
AROUND = ((0, 1), (0, 2), (1, 2), (2, 2), (2, 1), (2, 0), (1, 0), (0, 0))
# How a camera stores a picture that it tags with an orientation, undone by turning it so.
STORED = {1: None, 3: 'ROTATE_180', 6: 'ROTATE_90', 8: 'ROTATE_270', 2: 'FLIP_LEFT_RIGHT'}


def enlarged(digit, times=10):
    """Return a digit (28, 28, 1) that many times as large, (H, W) in [0, 1]."""
    image = Image.fromarray((digit[..., 0] * 255).astype(np.uint8))
    return np.asarray(image.resize((28 * times, 28 * times), Image.Resampling.BICUBIC), np.float32) / 255


def on_paper(ink, rng, size=(440, 540), shade=0.35, contrast=0.6, noise=0.02, light_on_dark=False, **place):
    """Return a photograph (H, W): ink somewhere on unevenly lit paper, darker than it, or on a board, lighter.

    place: margin, the least distance of the ink from the edges in pixels; printed, more ink (H, W), in its place.
    """
    height, width = size
    margin, printed = place.get('margin', 5), place.get('printed', 0)
    top = rng.integers(margin, height - len(ink) - margin + 1)
    left = rng.integers(margin, width - ink.shape[1] - margin + 1)
    marks = np.zeros(size, np.float32)
    marks[top : top + len(ink), left : left + ink.shape[1]] = ink
    marks = np.maximum(marks, printed)
    light = shade * (0.5 + 0.5 * _slope(size, rng))
    photo = 0.1 + light + 0.5 * marks * contrast if light_on_dark else (0.9 - light) * (1 - contrast * marks)
    return (photo + rng.normal(0, noise, size)).clip(0, 1)


def _slope(size, rng):
    """Return a plane that rises in a random direction, (H, W)."""
    y, x = np.mgrid[-0.5 : 0.5 : size[0] * 1j, -0.5 : 0.5 : size[1] * 1j]
    angle = rng.uniform(0, 2 * np.pi)
    return np.cos(angle) * x + np.sin(angle) * y


def save_photo(path, photo, orientation=1):
    """Write a photograph as a camera does that is held another way, and return its path."""
    image = _image(photo)
    if STORED[orientation]:
        image = image.transpose(Image.Transpose[STORED[orientation]])
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(path, exif=exif)
    return path


# Strokes, drawn anew with a pen of any width


def drawn(digit, rng, width, height=(60, 260), unevenness=0):
    """Draw a digit (28, 28, 1) along the middle of its strokes; return ink (H, W) in [0, 1], cropped.

    width, of the pen, and height, of the digit, are ranges to draw from, in lengths of the digit and in pixels.
    """
    image = _image(digit[..., 0])
    image = image.crop(image.getbbox())
    image = image.resize([max(1, round(n * LENGTH / max(image.size))) for n in image.size], Image.Resampling.BICUBIC)
    points = np.argwhere(skeleton(np.pad(np.asarray(image) > 110, 2)))
    points = points - points.min(axis=0)
    length, pen = rng.uniform(*height), rng.uniform(*width)
    times = 4 if length < 100 else 2  # drawn larger, then scaled down, which smooths the edges
    pen = max(1.0, pen * length) * times
    points = points * ((length * times - pen) / max(points.max(), 1)) + pen / 2
    rows, columns = np.ceil((points.max(axis=0) + pen / 2 + 1) / times).astype(int).tolist()
    canvas = Image.new('L', (columns * times, rows * times))
    draw = ImageDraw.Draw(canvas)
    for y, x in points:
        draw.ellipse((x - pen / 2, y - pen / 2, x + pen / 2, y + pen / 2), fill=255)
    ink = _array(canvas.resize((columns, rows), Image.Resampling.BOX))
    loss = Image.fromarray(rng.random((8, 8), np.float32)).resize((columns, rows), Image.Resampling.BICUBIC)
    return ink * (1 - unevenness * np.asarray(loss).clip(0, 1))


def skeleton(mask):
    """Return the middle lines of a mask (H, W), one pixel wide.

    Source: T. Y. Zhang and C. Y. Suen, "A fast parallel algorithm for thinning digital patterns", 1984.
    """
    mask, changed, (height, width) = mask.copy(), True, mask.shape
    while changed:
        changed = False
        for first in (True, False):
            padded = np.pad(mask, 1).astype(np.int8)
            around = [padded[y : y + height, x : x + width] for y, x in AROUND]
            count = sum(around)
            turns = sum((a == 0) & (b == 1) for a, b in zip(around, around[1:] + around[:1], strict=True))
            up, right, down, left = around[::2]
            kept = (up * right * down) | (right * down * left) if first else (up * right * left) | (up * down * left)
            removed = mask & (count >= 2) & (count <= 6) & (turns == 1) & (kept == 0)
            changed |= removed.any()
            mask &= ~removed
    return mask


def _size(ink, rng):
    return tuple(int(max(ink.shape) * rng.uniform(1.2, 2.5)) + 12 for _ in range(2))


def _photo(ink, rng, **settings):
    """Return a photograph of ink with settings that are drawn at random where they are not given."""
    settings = {'shade': rng.uniform(0, 0.5), 'contrast': rng.uniform(0.5, 0.85), 'noise': 0.015} | settings
    return on_paper(ink, rng, _size(ink, rng), **settings)


def felt(digit, rng):
    """A felt-tip pen on paper, in uneven light."""
    return _photo(drawn(digit, rng, width=(0.08, 0.13)), rng)


def pencil(digit, rng):
    """A pencil: thin, grey, with uneven pressure, on grainy paper."""
    ink = drawn(digit, rng, width=(0.025, 0.05), unevenness=0.5)
    return _photo(ink, rng, contrast=rng.uniform(0.3, 0.5), noise=0.02)


def fine(digit, rng):
    """A fine pen: strokes of one to three pixels."""
    return _photo(drawn(digit, rng, width=(0.012, 0.025)), rng, contrast=rng.uniform(0.6, 0.9))


def faint(digit, rng):
    """A pen that is nearly dry, or very light writing."""
    ink = drawn(digit, rng, width=(0.05, 0.1), unevenness=0.4)
    return _photo(ink, rng, contrast=rng.uniform(0.15, 0.25), noise=0.012)


def thick(digit, rng):
    """A brush, with little paper around the digit."""
    ink = drawn(digit, rng, width=(0.17, 0.24))
    size = tuple(int(n * rng.uniform(1.05, 1.3)) + 6 for n in ink.shape)
    return on_paper(ink, rng, size, shade=0.2, contrast=0.8, noise=0.01, margin=2)


def board(digit, rng):
    """Chalk on a board."""
    return _photo(drawn(digit, rng, width=(0.05, 0.1), unevenness=0.3), rng, light_on_dark=True)


def broken(digit, rng):
    """Strokes with one to three gaps."""
    ink = drawn(digit, rng, width=(0.06, 0.1))
    y, x = np.indices(ink.shape)
    for row, column in rng.choice(np.argwhere(ink > 0.9), rng.integers(1, 4)):
        ink[np.hypot(y - row, x - column) < rng.uniform(0.04, 0.07) * max(ink.shape)] = 0
    return _photo(ink, rng)


def shadow(digit, rng):
    """The shadow of a hand or a phone across the paper, with a blurred edge."""
    photo = felt(digit, rng)
    distance = _slope(photo.shape, rng) + rng.uniform(-0.25, 0.25)
    darker = rng.uniform(0.2, 0.45) / (1 + np.exp(-distance * 4 / rng.uniform(0.02, 0.1)))
    return photo * (1 - darker)


def blurred(digit, rng):
    """Out of focus."""
    photo = felt(digit, rng)
    return _array(_image(photo).filter(ImageFilter.GaussianBlur(rng.uniform(0.01, 0.03) * max(photo.shape))))


def compressed(digit, rng):
    """A JPEG file of low quality."""
    file = io.BytesIO()
    _image(felt(digit, rng)).save(file, 'JPEG', quality=int(rng.integers(5, 20)))
    return _array(Image.open(file))


def specks(digit, rng):
    """Dust, and marks of other pens."""
    image = _image(felt(digit, rng))
    draw = ImageDraw.Draw(image)
    for _ in range(rng.integers(5, 40)):
        x, y, radius = rng.uniform(0, image.width), rng.uniform(0, image.height), rng.uniform(0.2, 0.012 * image.width)
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=int(rng.integers(0, 120)))
    return _array(image)


def edge(digit, rng):
    """A picture that ends where the digit does, on one side or on two."""
    ink = drawn(digit, rng, width=(0.07, 0.12))
    pads = (max(ink.shape) * rng.uniform(0.1, 0.5, 4)).astype(int)
    pads[rng.choice(4, rng.integers(1, 3), replace=False)] = 0
    ink = np.pad(ink, pads.reshape(2, 2))
    return on_paper(ink, rng, ink.shape, contrast=rng.uniform(0.5, 0.85), margin=0)


def table(digit, rng):
    """Paper on a dark table, which is in the picture on one side or on two."""
    photo = felt(digit, rng)
    strips = (max(photo.shape) * rng.uniform(0.05, 0.15, 4)).astype(int)
    strips[rng.choice(4, rng.integers(2, 4), replace=False)] = 0
    photo = np.pad(photo, strips.reshape(2, 2), constant_values=rng.uniform(0.1, 0.4))
    return (photo + rng.normal(0, 0.01, photo.shape)).clip(0, 1)


def _on_lines(digit, rng, axes, spacing, strength):
    ink = drawn(digit, rng, width=(0.06, 0.11))
    side, size = max(ink.shape), _size(ink, rng)
    spacing, strength = side * rng.uniform(*spacing), rng.uniform(*strength)
    printed = np.zeros(size, np.float32)
    for axis in axes:
        for at in np.arange(rng.uniform(0, spacing), size[axis], spacing).astype(int):
            (printed, printed.T)[axis][at : at + max(1, side // 80)] = strength
    return on_paper(ink, rng, size, shade=0.2, printed=printed)


def lined(digit, rng):
    """Ruled paper."""
    return _on_lines(digit, rng, axes=(0,), spacing=(0.5, 1.1), strength=(0.15, 0.4))


def squared(digit, rng):
    """Squared paper."""
    return _on_lines(digit, rng, axes=(0, 1), spacing=(0.2, 0.5), strength=(0.1, 0.35))


def box(digit, rng):
    """A printed box around the digit, with paper around it."""
    ink = drawn(digit, rng, width=(0.06, 0.1))
    inside = int(max(ink.shape) * rng.uniform(1.15, 1.6))
    paper = on_paper(ink, rng, (inside, inside), 0, 1, 0)
    line, around = max(1, int(inside * rng.uniform(0.008, 0.025))), int(inside * rng.uniform(0.03, 0.2))
    marks = np.pad(1 - paper / 0.9, line, constant_values=rng.uniform(0.5, 1))
    return on_paper(marks, rng, (inside + 2 * (line + around),) * 2, 0.2, 0.7, 0.015, margin=around)


def cell(digit, rng):
    """A scanned cell of a form, with some of its printed frame."""
    line, gap, strength = int(rng.integers(1, 4)), int(rng.integers(0, 4)), rng.uniform(0.5, 1)
    sides = rng.random(4) < 0.7
    ink = np.pad(1 - scan(digit, rng), (sides * (line + gap)).reshape(2, 2))
    for side in np.flatnonzero(sides):
        np.rot90(ink, (0, 2, 1, 3)[side])[gap : gap + line] = strength
    return 1 - ink


def scan(digit, rng):
    """A small scan, of greys or of black and white, with a few specks."""
    ink = drawn(digit, rng, width=(0.05, 0.14), height=(20, 50))
    size = tuple(n + int(rng.integers(4, 24)) for n in ink.shape)
    photo = on_paper(ink, rng, size, shade=0.05, contrast=rng.uniform(0.6, 0.95), noise=0.02, margin=1)
    photo[tuple(rng.integers(0, size, (rng.integers(0, 4), 2)).T)] = 0.2
    return np.where(photo > 0.55, 1.0, 0.0) if rng.random() < 0.5 else photo


def drawing(digit, rng):
    """A drawing with the mouse, with hard edges on transparent ground."""
    ink = drawn(digit, rng, width=(0.04, 0.12), height=(150, 300)) > 0.5
    alpha = on_paper(ink, rng, (320, 320), 0, 1, 0) < 0.45
    pixels = np.zeros((*alpha.shape, 4), np.uint8)
    pixels[..., :3] = rng.integers(0, 120, 3)
    pixels[..., 3] = alpha * 255
    return Image.fromarray(pixels)


def font(label, rng):
    """A printed digit, in Pillow's font."""
    size = int(rng.integers(40, 240))
    image = Image.new('L', (2 * size, 2 * size), 0)
    draw = ImageDraw.Draw(image)
    draw.text((size, size), str(label), 255, ImageFont.load_default(size), anchor='mm', stroke_width=size // 80)
    image = image.rotate(rng.uniform(-8, 8), Image.Resampling.BICUBIC)
    return _photo(_array(image.crop(image.getbbox())), rng)


def mnist(digit, rng):
    """An image of MNIST as it is: 28 x 28, light on dark."""
    return digit[..., 0]


def small(digit, rng):
    """28 x 28 pixels, dark on light or light on dark, not centred."""
    ink = drawn(digit, rng, width=(0.06, 0.16), height=(16, 25))
    photo = on_paper(ink, rng, (28, 28), shade=0, contrast=1, noise=0, margin=0)
    photo = np.where(photo < 0.45, 0.0, 0.9) if rng.random() < 0.3 else photo
    return photo / 0.9 if rng.random() < 0.5 else 1 - photo / 0.9


def tiny(digit, rng):
    """8 x 8 pixels, greys or two colours, dark on light or light on dark."""
    ink = _image(digit[..., 0])
    ink = ink.crop(ink.getbbox())
    longest = int(rng.integers(7, 9))
    width, height = (max(2, round(n * longest / max(ink.size))) for n in ink.size)
    ink = _array(ink.resize((width, height), Image.Resampling.BOX))
    photo = on_paper(ink / ink.max(), rng, (8, 8), shade=0, contrast=1, noise=0, margin=0) / 0.9
    photo = np.where(photo < 0.55, 0.0, 1.0) if rng.random() < 0.5 else photo
    return photo if rng.random() < 0.5 else 1 - photo


KINDS = {
    kind.__name__: kind
    for kind in (
        *(felt, pencil, fine, faint, thick, board, broken, shadow, blurred, compressed, specks, edge, table),
        *(lined, squared, box, cell, scan, drawing, font, mnist, small, tiny),
    )
}


def _image(photo):
    return photo if isinstance(photo, Image.Image) else Image.fromarray((photo * 255).astype(np.uint8))


def _array(image):
    return np.asarray(image, np.float32) / 255


def made(kind, count, seed, digits, labels):
    """Yield (picture, label) of a kind: a PIL image and the digit on it, drawn from digits (N, 28, 28, 1)."""
    rng = np.random.default_rng([seed, *kind.encode()])
    for index in rng.permutation(len(digits))[:count]:
        yield _image(KINDS[kind](labels[index] if kind == 'font' else digits[index], rng)), int(labels[index])


def add_options(parser, count):
    """Add the options that say which pictures are made."""
    parser.add_argument('--kinds', default=','.join(KINDS), help='names, with commas: ' + ', '.join(KINDS))
    parser.add_argument('--count', type=int, default=count, help=f'of each kind ({count})')
    parser.add_argument('--seed', type=int, default=0, help='0')


def main():
    parser = argparse.ArgumentParser(description='Draw pictures of the bundled test digits, as people make them.')
    parser.add_argument('folder', type=Path, help='where to write them: KIND_NUMBER_is_DIGIT.png')
    add_options(parser, count=1)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    _, (digits, labels) = preprocess_mnist_data()
    for kind in options.kinds.split(','):
        pictures = made(kind, options.count, options.seed, digits, labels.argmax(axis=1))
        for number, (picture, label) in enumerate(pictures):
            print(save_photo(options.folder / f'{kind}_{number}_is_{label}.png', picture))


if __name__ == '__main__':
    main()
