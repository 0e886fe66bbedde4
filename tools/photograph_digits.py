"""Draw photographs of the bundled test digits, as someone might take them.

Usage: python tools/photograph_digits.py FOLDER; tests use the functions. The same seed gives the same pictures again.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from cnnx.data import preprocess_mnist_data

EXIF_ORIENTATION = 0x0112
# How a camera stores a picture that it tags with an orientation, undone by turning it so.
STORED = {1: None, 3: 'ROTATE_180', 6: 'ROTATE_90', 8: 'ROTATE_270', 2: 'FLIP_LEFT_RIGHT'}


def enlarged(digit, times=10):
    """Return a digit (28, 28, 1) that many times as large, (H, W) in [0, 1]."""
    image = Image.fromarray((digit[..., 0] * 255).astype(np.uint8))
    return np.asarray(image.resize((28 * times, 28 * times), Image.Resampling.BICUBIC), np.float32) / 255


def on_paper(ink, rng, size=(440, 540), shade=0.35, contrast=0.6, noise=0.02, light_on_dark=False):
    """Return a photograph (H, W): ink somewhere on unevenly lit paper, darker than it, or on a board, lighter."""
    height, width = size
    top, left = rng.integers(5, height - len(ink) - 5), rng.integers(5, width - ink.shape[1] - 5)
    drawn = np.zeros(size, np.float32)
    drawn[top : top + len(ink), left : left + ink.shape[1]] = ink
    y, x = np.mgrid[-0.5 : 0.5 : height * 1j, -0.5 : 0.5 : width * 1j]
    angle = rng.uniform(0, 2 * np.pi)
    light = shade * (0.5 + 0.5 * (np.cos(angle) * x + np.sin(angle) * y))
    photo = 0.1 + light + 0.5 * drawn * contrast if light_on_dark else (0.9 - light) * (1 - contrast * drawn)
    return (photo + rng.normal(0, noise, size)).clip(0, 1)


def save_photo(path, photo, orientation=1):
    """Write a photograph as a camera does that is held another way, and return its path."""
    image = Image.fromarray((photo * 255).astype(np.uint8))
    if STORED[orientation]:
        image = image.transpose(Image.Transpose[STORED[orientation]])
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    image.save(path, exif=exif)
    return path


def thinned(ink, by):
    """Return ink (H, W) with strokes that are by - 1 pixels thinner, by being odd."""
    image = Image.fromarray((ink * 255).astype(np.uint8)).filter(ImageFilter.MinFilter(by))
    return np.asarray(image, np.float32) / 255


def framed(photo, width=12):
    """Return a photograph (H, W) in a dark frame."""
    image = Image.fromarray((photo * 255).astype(np.uint8))
    ImageDraw.Draw(image).rectangle((0, 0, image.width - 1, image.height - 1), outline=20, width=width)
    return np.asarray(image) / 255


def main():
    parser = argparse.ArgumentParser(description='Draw photographs of the first six bundled test digits.')
    parser.add_argument('folder', type=Path, help='where to write them')
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    _, (digits, _) = preprocess_mnist_data()
    rng = np.random.default_rng(3)
    photos = {
        'pencil': on_paper(enlarged(digits[0]), rng, contrast=0.4),
        'shade': on_paper(enlarged(digits[1]), rng, shade=0.7),
        'board': on_paper(enlarged(digits[3]), rng, contrast=0.8, light_on_dark=True),
        'frame': framed(on_paper(enlarged(digits[4]), rng)),
        'pen': on_paper(thinned(enlarged(digits[6], 14), 23), rng, contrast=0.8),
        'small': on_paper(enlarged(digits[9], 4), rng, noise=0.05),
    }
    for name, photo in photos.items():
        print(save_photo(folder / f'{name}.png', photo))


if __name__ == '__main__':
    main()
