"""The page: a network, and scripts that run it in a browser, in one HTML file."""

import base64
import hashlib
import html
import json
from pathlib import Path

import numpy as np

from cnnx._util.arrays import as_numbers
from cnnx._util.validation import is_number, shown
from cnnx._version import __version__
from cnnx.checkpoint import write_whole
from cnnx.data import preprocess_mnist_data
from cnnx.export.html.description import describe

FOLDER = Path(__file__).parent
# In this order: each uses what those before it define.
SCRIPTS = (
    *('layers', 'network', 'resize', 'ink', 'parts', 'prepare', 'words', 'maps', 'pad', 'sources', 'cards'),
    *('answer', 'attribution', 'speaks', 'inside', 'pointing', 'samples', 'page'),
)
PREPARATIONS = ('digit', 'scale')
MOST_SAMPLES = 200
MISREAD = 2  # of the default samples
ATTRIBUTION = (
    'The pictures are from MNIST, by Yann LeCun, Corinna Cortes and Christopher J. C. Burges, under CC BY-SA 3.0 '
    '(https://creativecommons.org/licenses/by-sa/3.0/).'
)


def export(network, path, *, title=None, samples=None, prepare=None, precision='float32', pixels=(0, 1)):
    """Write a page in one file, in which one draws, and sees the drawing travel through the network.

    It works from the disk in any browser of the last five years, and loads nothing.

    Args:
        network: a `cnnx.Network` that takes images (height, width, 1 or 3).
        path: the file.
        title: the page's heading.
        samples: (x, y), up to 200 images to choose from, as the network takes them, with labels or, for y None,
            without; by default two digits of each class of MNIST, and two that the network misreads, where it
            takes images of that size and has ten classes.
        prepare: 'digit' for drawings prepared by the steps of `cnnx.data.prepare_digit`, 'scale' for those that are
            only scaled; by default as `cnnx predict` does: 'digit' where the network takes grey squares and its
            classes are digits.
        precision: of weights in the file, 'float32', or 'float16' for half the size.
        pixels: the numbers that black and white are to the network.

    Raises:
        OSError: the file cannot be written.
        ValueError: an argument is none of these, or the page cannot draw the network's input or output, or does not
            know a layer.
    """
    options = {'title': title, 'samples': samples, 'prepare': prepare, 'precision': precision, 'pixels': pixels}
    write_whole(path, to_bytes(network, **options))


def to_bytes(network, *, title=None, samples=None, prepare=None, precision='float32', pixels=(0, 1)):
    """Return what `export` writes."""
    description, content = describe(network, precision)
    description['names'] = _names(network, description['output'])
    description['prepare'] = _preparation(network, prepare)
    description['pixels'] = _checked_pixels(pixels)
    if title is None:
        title = 'See a network read digits' if description['prepare'] == 'digit' else 'See a network at work'
    if not isinstance(title, str):
        raise ValueError(f'title: expected a text, got {shown(title)}')
    description['samples'] = _samples(network, samples, description)
    style = _read('page.css')
    scripts = [_read(f'{name}.js') for name in SCRIPTS]
    policy = (
        f"default-src 'none'; script-src {' '.join(map(_hash, scripts))}; style-src {_hash(style)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    parts = {
        'policy': policy,
        'version': __version__,
        'title': html.escape(title),
        'style': style,
        'network': _as_json(description),
        'parameters': base64.b64encode(content).decode('ascii'),
        'scripts': '\n'.join(f'<script>{script}</script>' for script in scripts),
    }
    # Cut at the marks first: what is put in is not looked at again.
    pieces = _read('template.html').replace('{{', '\0').replace('}}', '\0').split('\0')
    return ''.join(parts[piece] if i % 2 else piece for i, piece in enumerate(pieces)).encode()


def _read(name):
    return (FOLDER / name).read_text(encoding='utf-8')


def _hash(text):
    """Return what a content security policy allows this script or style by."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}'"


def _as_json(description):
    """Return JSON that can stand within a script element: without <, which could end it."""
    return json.dumps(description, ensure_ascii=False, allow_nan=False).replace('<', '\\u003c')


def _names(network, output):
    outputs = network.layers[-1].shape[-1]
    if network.class_names is not None:
        return list(network.class_names)
    if output == 'numbers':
        return [f'number {number + 1}' for number in range(outputs)]
    return [str(number) for number in range(max(outputs, 2))]


def _preparation(network, wanted):
    if wanted is not None and wanted not in PREPARATIONS:
        raise ValueError(f'prepare: expected one of {", ".join(PREPARATIONS)}, or None, got {shown(wanted)}')
    height, width, channels = network.input_shape
    can_be_digit = channels == 1 and height == width and height >= 4
    if wanted == 'digit' and not can_be_digit:
        raise ValueError(f"prepare: 'digit' needs a network that takes grey squares, got {network.input_shape}")
    reads_digits = all(name.isdigit() for name in network.class_names or '0')
    return wanted or ('digit' if can_be_digit and reads_digits else 'scale')


def _checked_pixels(pixels):
    fits = isinstance(pixels, (tuple, list)) and len(pixels) == 2 and all(map(is_number, pixels))
    if not fits or not np.isfinite(pixels).all() or pixels[0] == pixels[1]:
        raise ValueError(f'pixels: expected two numbers, for black and for white, such as (0, 1), got {shown(pixels)}')
    return [float(pixels[0]), float(pixels[1])]


def _samples(network, samples, description):
    """Return samples as JSON holds them, in bytes where these give the same numbers; None for no samples."""
    if samples is None:
        if network.input_shape != (28, 28, 1) or network.layers[-1].shape != (10,) or description['prepare'] != 'digit':
            return None
        _, (images, one_hot) = preprocess_mnist_data()
        digits = one_hot.argmax(axis=1)
        low, high = description['pixels']
        images = low + images * (high - low)
        scores = network.predict(images)
        is_wrong = (scores.argmax(axis=1) != digits) & (description['output'] != 'numbers')
        chosen = [place for digit in range(10) for place in _first(digits == digit, is_wrong)[:2]]
        most_certain = scores.max(axis=1).argsort()[::-1]
        misread = [place for place in most_certain if is_wrong[place] and place not in chosen][:MISREAD]
        chosen += misread
        attribution = f'The network misreads the last {len(misread)}. ' if misread else ''
        labels = digits[chosen].tolist()
        return {**_packed(images[chosen], low, high), 'labels': labels, 'attribution': attribution + ATTRIBUTION}
    if not isinstance(samples, (tuple, list)) or len(samples) != 2:
        raise ValueError(f'samples: expected a pair (x, y), got {shown(samples)}')
    x = network.check_samples(samples[0], 'samples')
    if not 1 <= len(x) <= MOST_SAMPLES or not np.isfinite(x).all():
        raise ValueError(f'samples: expected 1 to {MOST_SAMPLES} images of finite numbers, got {len(x)}')
    labels = _labels(samples[1], len(x), description['output'])
    classes = len(description['names'])
    if description['output'] != 'numbers' and any(label is not None and not 0 <= label < classes for label in labels):
        raise ValueError(f'samples: expected labels from 0 to {classes - 1}, got {shown(labels)}')
    return {**_packed(x, *description['pixels']), 'labels': labels, 'attribution': ''}


def _first(is_digit, is_wrong):
    """Return the places of a digit's images, those that are read right first."""
    return sorted(np.flatnonzero(is_digit), key=is_wrong.__getitem__)


def _packed(x, low, high):
    x = np.asarray(x, np.float32)
    levels = np.round((x - low) / (high - low) * 255)
    in_bytes = (levels >= 0).all() and (levels <= 255).all()
    if in_bytes and np.allclose(low + levels / 255 * (high - low), x, rtol=0, atol=1e-7 * abs(high - low)):
        return {'type': 'bytes', 'pixels': base64.b64encode(levels.astype(np.uint8).tobytes()).decode('ascii')}
    return {'type': 'numbers', 'pixels': base64.b64encode(x.astype('<f4').tobytes()).decode('ascii')}


def _labels(y, count, output):
    """Return class indices as whole numbers, one-hot rows as these, rows of numbers as lists, other targets as None."""
    if y is None:
        return [None] * count
    y = as_numbers(y, 'samples: y')
    if len(y) != count:
        raise ValueError(f'samples: expected as many labels as images, {count}, got {len(y)}')
    if output == 'numbers':
        return y.reshape(count, -1).tolist() if y.ndim <= 2 and np.isfinite(y).all() else [None] * count
    if y.ndim == 2 and y.shape[1] > 1 and ((y == 0) | (y == 1)).all() and (y.sum(axis=1) == 1).all():
        return y.argmax(axis=1).tolist()
    if y.ndim == 1 and y.dtype.kind in 'iu':
        return y.tolist()
    return [None] * count
