"""Drawing to files: input pictures beside the pixels that a network was given, and where plots may go."""

import argparse
import importlib.util
from pathlib import Path

import numpy as np

CELL = 140
GAP = 10
COLUMNS = 3
FORMATS = ('.png', '.pdf', '.svg')


def save_picture(path, pixels):
    """Write pixels (H, W, 1 or 3) in [0, 1] to a PNG file.

    Raises:
        ImportError: Pillow is not installed.
        OSError: the file cannot be written.
    """
    _image(pixels).save(path, format='PNG')


def draw_sheet(path, rows):
    """Draw each picture, the pixels that the network was given beside it, and a line of text below, to a PNG file.

    Args:
        path: of the file.
        rows: (picture, pixels, text), the first two (H, W, 1 or 3) in [0, 1].

    Raises:
        ImportError: Pillow is not installed.
        OSError: the file cannot be written.
    """
    from PIL import Image, ImageDraw

    columns = min(COLUMNS, len(rows))
    width, height = 2 * CELL + 3 * GAP, CELL + 3 * GAP
    sheet = Image.new('RGB', (columns * width, -(-len(rows) // columns) * height), 'white')
    draw = ImageDraw.Draw(sheet)
    for i, (picture, pixels, text) in enumerate(rows):
        left, top = i % columns * width + GAP, i // columns * height + GAP
        for offset, shown, filter_of_it in ((0, picture, 'BICUBIC'), (CELL + GAP, pixels, 'NEAREST')):
            image = _image(shown)
            ratio = CELL / max(image.size)
            size = [max(1, round(length * ratio)) for length in image.size]
            sheet.paste(image.resize(size, Image.Resampling[filter_of_it]), (left + offset, top))
        draw.text((left, top + CELL + 2), text, fill='black')
    sheet.save(path, format='PNG')


def _image(pixels):
    from PIL import Image

    numbers = (np.asarray(pixels).clip(0, 1) * 255).round().astype(np.uint8)
    return Image.fromarray(numbers[..., 0] if numbers.shape[2] == 1 else numbers)


def picture_file(text):
    """Return the path of a picture to be drawn by matplotlib, given to an option: argparse's `type`.

    Raises:
        argparse.ArgumentTypeError: it has another ending, its folder is not there, or matplotlib is not installed.
    """
    path = Path(text)
    if path.suffix not in FORMATS or not path.parent.is_dir():
        raise argparse.ArgumentTypeError(
            f'expected a file ending in {", ".join(FORMATS)}, in a folder that exists, got {text}'
        )
    if importlib.util.find_spec('matplotlib') is None:
        raise argparse.ArgumentTypeError('needs matplotlib: pip install matplotlib')
    return path


def page_file(text):
    """Return the path of a page in HTML to be written, given to an option: argparse's `type`.

    Raises:
        argparse.ArgumentTypeError: it has another ending, or its folder is not there.
    """
    path = Path(text)
    if path.suffix not in ('.html', '.htm') or not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f'expected a file ending in .html, in a folder that exists, got {text}')
    return path
