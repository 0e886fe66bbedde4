"""`cnnx predict`: the classes of pictures, and their probabilities, by a saved network or the one in the package."""

import json
import sys
from pathlib import Path

import numpy as np

from cnnx._util.arrays import softmax
from cnnx.cli.drawing import draw_sheet, save_picture
from cnnx.data import DataError, class_names, prepare_digit, read_image
from cnnx.data.datasets import NAMES
from cnnx.data.folders import class_folders
from cnnx.losses import BinaryCrossEntropy
from cnnx.metrics import class_scores
from cnnx.models import PRETRAINED, pretrained
from cnnx.network import Network

NAMED = 3
PACKAGED = 'lenet5-mnist'
LEAST_PROBABILITY = 0.9  # of the predicted class, below which the reading is doubtful
NOT_SURE = 'the network is not sure'


def add_arguments(parser):
    parser.epilog = 'Status: 0; 1 where a picture could not be read; 2 where the arguments or the network do not fit.'
    parser.add_argument(
        'model',
        metavar='MODEL',
        nargs='?',
        help=f'a file of Network.save, or a checkpoint, whose name ends in .npz ({PACKAGED}, which reads digits)',
    )
    parser.add_argument('images', nargs='+', metavar='IMAGE', help='PNG, JPEG, BMP, WebP or TIFF files')
    parser.add_argument(
        '--prepare',
        choices=['digit', 'scale'],
        help='find the digit and prepare it as MNIST did, or only scale the picture '
        '(digit where the network takes grey squares and its classes are digits)',
    )
    parser.add_argument(
        '--classes',
        metavar='NAMES',
        help=f'a,b,c, or the FOLDER trained on, or one of {", ".join(NAMES)} (those saved with MODEL, or numbers)',
    )
    parser.add_argument('--json', action='store_true', help='print JSON, with the probabilities of all classes')
    parser.add_argument('--show', metavar='FILE.png', help='draw each picture beside the pixels that the network took')
    parser.add_argument('--save-prepared', type=Path, metavar='FOLDER', help='write these pixels there, as PNG files')


def run(options):
    """Print the classes of pictures and their probabilities; return 1 where a picture could not be read."""
    network, images = _network_and_images(options)
    if options.show and (Path(options.show).suffix != '.png' or not Path(options.show).parent.is_dir()):
        raise ValueError(f'--show {options.show}: expected a file ending in .png, in a folder that exists')
    classes = network.layers[-1].shape
    if len(classes) != 1:
        raise ValueError(f'expected a network with one output a class, its outputs are {classes}')
    names = _names(options.classes, network.class_names, max(classes[0], 2))
    prepare = preparation(network, options.prepare)
    found = [_read(path, prepare) for path in images]
    good = [picture for picture in found if 'pixels' in picture]
    if good:
        outputs = network.predictor()(np.stack([picture['pixels'] for picture in good]).astype(network.dtype))
        outputs = outputs if network.loss is None else network.loss.as_scores(outputs)
        rows = _probabilities(outputs, isinstance(network.loss, BinaryCrossEntropy))
        for picture, row in zip(good, rows, strict=True):
            picture['probabilities'] = row
            if row.max() < LEAST_PROBABILITY:
                picture['notes'].append(NOT_SURE)
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


def _network_and_images(options):
    """Return the network and the paths of the pictures; without a MODEL, the network that comes with the package."""
    given = [*([] if options.model is None else [options.model]), *options.images]
    model, images = (given[0], given[1:]) if given[0] == PACKAGED or given[0].endswith('.npz') else (PACKAGED, given)
    if not images:
        raise ValueError(f'expected pictures after {model}')
    return load_model(model), images


def load_model(model):
    """Return the network of a file, or the one of that name that comes with the package."""
    if model != PACKAGED:
        return Network.load(model)
    print(f'{PACKAGED}, {PRETRAINED[PACKAGED]}', file=sys.stderr)
    return pretrained(PACKAGED)


def preparation(network, wanted):
    """Return a function of a path that returns (pixels, notes), as a network takes them.

    Args:
        network: a `cnnx.Network`.
        wanted: 'digit', 'scale', or None for what the network seems to read.

    Raises:
        ValueError: it takes no images, or no grey squares where digits are wanted.
    """
    shape, reads_digits = network.input_shape, all(name.isdigit() for name in network.class_names or '0')
    if len(shape) != 3 or shape[2] not in (1, 3):
        raise ValueError(f'expected a network that takes images (height, width, 1 or 3), this one takes {shape}')
    height, width, channels = shape
    is_grey_square = channels == 1 and height == width
    if wanted == 'digit' and not is_grey_square:
        raise ValueError(f'--prepare digit: expected a network that takes grey squares, this one takes {shape}')
    if wanted == 'scale' or not is_grey_square or not (wanted or reads_digits):
        return lambda path: (read_image(path, (height, width), channels), [])

    def prepare(path):
        prepared = prepare_digit(path, height)
        return prepared.pixels, prepared.notes

    return prepare


def _names(given, known, count):
    """Return the names of the classes: those given by the user, or known to the network, or numbers."""
    if given is None:
        return [str(number) for number in range(count)] if known is None else list(known)
    if given in NAMES:
        names = class_names(given)
    elif Path(given).is_dir():
        names = [path.name for path in class_folders(given)]
    else:
        names = given.split(',')
    if len(names) != count:
        raise ValueError(f'--classes {given}: expected {count} names, as many as the network has classes, got {names}')
    if known is not None and list(names) != list(known):
        print(f'--classes: these names are used; those in the file are {", ".join(known)}', file=sys.stderr)
    return list(names)


def _read(path, prepare):
    if Path(path).is_dir():
        return {'image': path, 'error': f'{path}: a folder; name the pictures in it: {path}/*.jpg'}
    try:
        pixels, notes = prepare(path)
    except FileNotFoundError:
        return {'image': path, 'error': f'{path}: there is no such file'}
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
    return softmax(scores)


def _print(found, names, as_json):
    if as_json:
        print(json.dumps([_as_json(picture, names) for picture in found], indent=2))
        return
    for picture in found:
        if 'error' in picture:
            print(picture['error'], file=sys.stderr)
            continue
        doubts = f' ? {"; ".join(picture["notes"])}' if picture['notes'] else ''
        print(f'{picture["image"]}: {_in_short(picture, names, NAMED)}{doubts}')


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
        'doubtful': bool(picture['notes']),
        'notes': picture['notes'],
    }
