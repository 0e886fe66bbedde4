"""`cnnx predict`: the classes of pictures, and their probabilities, by a saved network."""

import json
import sys
from pathlib import Path

import numpy as np

from cnnx.cli.drawing import draw_sheet, save_picture
from cnnx.data import DataError, class_names, prepare_digit, read_image
from cnnx.data.datasets import NAMES
from cnnx.losses import BinaryCrossEntropy
from cnnx.metrics import class_scores
from cnnx.network import Network
from cnnx.training.prediction import predict_scores

NAMED = 3


def add_arguments(parser):
    parser.epilog = 'Status: 0; 1 where a picture could not be read; 2 where none could be predicted.'
    parser.add_argument('model', metavar='MODEL', help='a file of Network.save, or a checkpoint')
    parser.add_argument('images', nargs='+', metavar='IMAGE', help='PNG or JPEG files')
    parser.add_argument(
        '--prepare',
        choices=['digit', 'scale'],
        help='find the digit and prepare it as MNIST did, or only scale the picture '
        '(digit where the network takes grey squares)',
    )
    parser.add_argument(
        '--classes',
        metavar='NAMES',
        help=f'a,b,c, or the FOLDER trained on, or one of {", ".join(NAMES)} (numbers)',
    )
    parser.add_argument('--json', action='store_true', help='print JSON, with the probabilities of all classes')
    parser.add_argument('--show', metavar='FILE.png', help='draw each picture beside the pixels that the network took')
    parser.add_argument('--save-prepared', type=Path, metavar='FOLDER', help='write these pixels there, as PNG files')


def run(options):
    """Print the classes of pictures and their probabilities; return 1 where a picture could not be read."""
    network = Network.load(options.model)
    if options.show and (Path(options.show).suffix != '.png' or not Path(options.show).parent.is_dir()):
        raise ValueError(f'--show {options.show}: expected a file ending in .png, in a folder that exists')
    prepare = _preparation(network.input_shape, options.prepare)
    classes = network.layers[-1].shape
    if len(classes) != 1:
        raise ValueError(f'expected a network with one output a class, its outputs are {classes}')
    names = _names(options.classes, max(classes[0], 2))
    found = [_read(path, prepare) for path in options.images]
    good = [picture for picture in found if 'pixels' in picture]
    if good:
        outputs = predict_scores(network, np.stack([picture['pixels'] for picture in good]))
        rows = _probabilities(outputs, isinstance(network.loss, BinaryCrossEntropy))
        for picture, row in zip(good, rows, strict=True):
            picture['probabilities'] = row
    _print(found, names, options.json)
    if options.save_prepared:
        options.save_prepared.mkdir(parents=True, exist_ok=True)
        for number, picture in enumerate(good, 1):  # numbered, since names may be the same in several folders
            save_picture(options.save_prepared / f'{number:03}_{Path(picture["image"]).stem}.png', picture['pixels'])
    if options.show and good:
        draw_sheet(
            options.show,
            [
                (read_image(picture['image'], channels=3), picture['pixels'], _in_short(picture, names, 1))
                for picture in good
            ],
        )
    return int(len(good) < len(found))


def _preparation(shape, wanted):
    """Return a function of a path that returns (pixels, notes) for a network that takes this shape."""
    if len(shape) != 3 or shape[2] not in (1, 3):
        raise ValueError(f'expected a network that takes images (height, width, 1 or 3), this one takes {shape}')
    height, width, channels = shape
    is_grey_square = channels == 1 and height == width
    if wanted == 'digit' and not is_grey_square:
        raise ValueError(f'--prepare digit: expected a network that takes grey squares, this one takes {shape}')
    if wanted == 'scale' or not is_grey_square:
        return lambda path: (read_image(path, (height, width), channels), [])

    def prepare(path):
        prepared = prepare_digit(path, height)
        return prepared.pixels, prepared.notes

    return prepare


def _names(given, count):
    if given is None:
        return [str(number) for number in range(count)]
    if given in NAMES:
        names = class_names(given)
    elif Path(given).is_dir():
        names = sorted(path.name for path in Path(given).iterdir() if path.is_dir() and not path.name.startswith('.'))
    else:
        names = given.split(',')
    if len(names) != count:
        raise ValueError(f'--classes {given}: expected {count} names, as many as the network has classes, got {names}')
    return list(names)


def _read(path, prepare):
    try:
        pixels, notes = prepare(path)
    except (DataError, OSError) as error:
        return {'image': path, 'error': str(error)}
    return {'image': path, 'pixels': pixels, 'notes': notes}


def _probabilities(outputs, are_probabilities):
    """Return rows of probabilities; of outputs that are none, their softmax."""
    scores = class_scores(outputs).astype(np.float64)
    if not np.isfinite(scores).all():
        raise ValueError('the network gives outputs that are NaN or infinite; it has diverged in training')
    if are_probabilities or ((scores >= 0).all() and np.allclose(scores.sum(axis=1), 1, atol=1e-3)):
        return scores
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def _print(found, names, as_json):
    if as_json:
        print(json.dumps([_as_json(picture, names) for picture in found], indent=2))
        return
    for picture in found:
        if 'error' in picture:
            print(picture['error'], file=sys.stderr)
            continue
        print(f'{picture["image"]}: {_in_short(picture, names, NAMED)}')
        for note in picture['notes']:
            print(f'{picture["image"]}: {note}', file=sys.stderr)


def _in_short(picture, names, count):
    row = picture['probabilities']
    best = np.argsort(-row, kind='stable')[:count]
    return ', '.join(f'{names[label]} ({row[label]:.1%})' for label in best)


def _as_json(picture, names):
    if 'error' in picture:
        return {'image': picture['image'], 'error': picture['error']}
    row = picture['probabilities']
    return {
        'image': picture['image'],
        'class': names[row.argmax()],
        'probability': row.max(),
        'probabilities': dict(zip(names, row.tolist(), strict=True)),
        'notes': picture['notes'],
    }
