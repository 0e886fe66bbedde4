"""Options that several commands share, and the data and networks that they stand for."""

import argparse
import importlib.util
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cnnx.augmentation import Brightness, Contrast, Crop, Elastic, Erase, Flip, Rotate, Scale, Shear, Shift
from cnnx.data import class_names, load_dataset, load_folder, load_npz, prepare_digit, preprocess_mnist_data, split
from cnnx.data.datasets import NAMES
from cnnx.kernels import BACKENDS
from cnnx.losses import CategoricalCrossEntropy
from cnnx.models import RECIPES, lenet5
from cnnx.optimizers import OPTIMIZERS
from cnnx.schedules import Constant, Cosine, Exponential, OneCycle, ReduceOnPlateau, StepDecay

SHAPE = (28, 28, 1)  # of the images that the networks of cnnx.models take
TEST_FRACTION = 0.2  # of a user's own images
KINDS = {name.lower(): kind for name, kind in OPTIMIZERS.items()}
SCHEDULES = {
    'constant': Constant,
    'step': StepDecay,
    'exponential': Exponential,
    'cosine': Cosine,
    'one-cycle': OneCycle,
    'plateau': ReduceOnPlateau,
}
AUGMENTATIONS = {
    'shift': Shift(2),
    'rotate': Rotate(10),
    'scale': Scale(0.1),
    'shear': Shear(10),
    'flip': Flip(),
    'crop': Crop(2),
    'elastic': Elastic(34, 4),
    'brightness': Brightness(0.2),
    'contrast': Contrast(0.2),
    'erase': Erase(0.5, 0.1),
}


class Data(NamedTuple):
    """Images and one-hot labels to train on and to test on, each a pair (x, y), and the names of the classes."""

    train: tuple
    test: tuple
    classes: tuple

    def in_order_of(self, names, model):
        """Return the same with labels in the order of a network's names of classes, some of which may be missing here.

        Where classes are only numbered, the numbers are those of the outputs.

        Raises:
            ValueError: there are other classes; it begins with that of the network's file.
        """
        numbered = self.classes == tuple(map(str, range(len(self.classes)))) and len(self.classes) <= len(names)
        if set(self.classes) <= set(names):
            places = [names.index(name) for name in self.classes]
        elif numbered:
            places = range(len(self.classes))
        else:
            found, expected = ', '.join(self.classes), ', '.join(names)
            raise ValueError(f'{model}: expected images of its classes, {expected}, got {found}')
        rows = np.eye(len(names), dtype=np.float32)[list(places)]
        (x_train, y_train), (x_test, y_test) = self.train, self.test
        return Data((x_train, y_train @ rows), (x_test, y_test @ rows), names)


def number(kind, expected, fits):
    """Return a function that reads an option's number: argparse's `type`."""

    def read(text):
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not fits(value):
            raise argparse.ArgumentTypeError(f'expected {expected}, got {text!r}')
        return value

    return read


at_least_1 = number(int, 'a whole number of at least 1', lambda n: n >= 1)
at_least_0 = number(int, 'a whole number of at least 0', lambda n: n >= 0)
positive = number(float, 'a number of more than 0', lambda x: 0 < x < math.inf)
not_negative = number(float, 'a number of at least 0', lambda x: 0 <= x < math.inf)
below_1 = number(float, 'a number of at least 0 and less than 1', lambda x: 0 <= x < 1)
less_than_side = number(int, f'a whole number from 1 to {SHAPE[0] - 1}', lambda n: 1 <= n < SHAPE[0])


def learning_rates():
    """Return each optimizer's usual learning rate, in words."""
    rates = {}
    for name, kind in KINDS.items():
        rates.setdefault(kind.usual_learning_rate, []).append(name)
    return '; '.join(f'{", ".join(names)}: {rate}' for rate, names in rates.items())


def flag(text):
    return {'action': 'store_true', 'help': text}


def value(kind, metavar, text, **more):
    return {'type': kind, 'metavar': metavar, 'help': text, **more}


def choice(choices, text, **more):
    return {'choices': choices, 'help': text, **more}


DATA = {
    'full': flag('all images of the data set, downloaded at first use; else a subset of MNIST'),
    'dataset': choice(NAMES, f'with --full: {", ".join(NAMES)} (mnist)', metavar='NAME', default='mnist'),
    'data-dir': value(str, 'DIR', 'with --full: the folder with its files'),
    'data': value(str, 'FOLDER|FILE.npz', 'your own images: FOLDER/CLASS/*.png, or arrays x and y'),
    'prepare': flag('with --data FOLDER: find the digit on each photograph'),
    'on-error': choice(('raise', 'skip'), 'with --data FOLDER: what to do about pictures that cannot be read (raise)'),
    'hold-out': value(at_least_1, 'N', 'test on the last N training images, and do not train on them'),
    'train-samples': value(at_least_1, 'N', 'train on the first N (1000 of the subset; else all)'),
    'test-samples': value(at_least_1, 'N', 'test on the first N (200 of the subset; else all)'),
}
NETWORK = {
    'optimizer': choice(KINDS, 'how weights are updated (sgd)', default='sgd'),
    'momentum': value(below_1, 'X', 'fraction of the last step that goes into the next (sgd: 0.9; rmsprop: 0)'),
    'weight-decay': value(not_negative, 'X', 'pulls weights towards 0 (adamw: 0.01; else 0)'),
    'seed': value(at_least_0, 'N', 'of random weights and orders (0)', default=0),
}
TRAINING = {
    'recipe': choice(RECIPES, '--full, with the best settings for LeNet-5 or for a more accurate network'),
    'epochs': value(at_least_1, 'N', 'passes over the training images (10)'),
    'learning-rate': value(positive, 'X', f'size of a step ({learning_rates()})'),
    'schedule': choice(SCHEDULES, 'how the learning rate changes (constant; with --full: cosine)'),
    'batch-size': value(at_least_1, 'N', 'images in a step (32)'),
    'augment': value(
        str,
        'NAME',
        f'change training images at random: {", ".join(AUGMENTATIONS)}',
        nargs='+',
        choices=AUGMENTATIONS,
    ),
}
KERNELS = {
    'threads': value(at_least_1, 'N', 'of the compiled kernels (one for each processor)'),
    'backend': choice(BACKENDS, 'kernels to use (auto: compiled ones if available)'),
}
OPTIONS = DATA | NETWORK | TRAINING | KERNELS


def add_options(parser, title, *names):
    """Add shared options to a parser, in a group of that title; return the group."""
    group = parser.add_argument_group(title)
    for name in names:
        group.add_argument(f'--{name}', **OPTIONS[name])
    return group


def complete(options, error):
    """Check which options go together, and give those that were left out the values that they stand for.

    Args:
        options: of a command that has the data's options.
        error: a function that ends the program with a message, such as a parser's `error`.
    """
    for name in ('recipe', 'optimizer', 'momentum', 'all'):
        vars(options).setdefault(name, None)
    own_folder = options.data is not None and Path(options.data).suffix != '.npz'
    if options.data is not None and (options.recipe or options.full):
        error(f'--data goes without --{"recipe" if options.recipe else "full"}')
    options.full = options.full or options.recipe is not None
    if options.data_dir is not None and not options.full:
        error('--data-dir goes with --full; the subset comes with the package')
    if options.dataset != 'mnist' and not options.full:
        error(f'--dataset {options.dataset} goes with --full; only MNIST has a subset in the package')
    for name in ('prepare', 'on_error'):
        if getattr(options, name) and not own_folder:
            error(f'--{name.replace("_", "-")} goes with --data FOLDER')
    if options.all and options.data is None:
        error('--all goes with --data')
    if own_folder and importlib.util.find_spec('PIL') is None:
        error('--data FOLDER needs Pillow: pip install pillow')
    if options.recipe and options.optimizer != 'sgd':
        error(f'--recipe {options.recipe} goes with --optimizer sgd, not {options.optimizer}')
    if options.momentum is not None and options.optimizer not in ('sgd', 'rmsprop'):
        error(f'--momentum goes with --optimizer sgd or rmsprop, not {options.optimizer}')
    _fill_in(options)


def _fill_in(options):
    subset = not options.full and options.data is None
    if getattr(options, 'augment', None):
        options.augment = [AUGMENTATIONS[name] for name in options.augment]
    if getattr(options, 'schedule', None):
        options.schedule = SCHEDULES[options.schedule]
    defaults = {
        'network': lenet5,
        'epochs': 10,
        'learning_rate': KINDS[options.optimizer].usual_learning_rate if options.optimizer else None,
        'schedule': Cosine if options.full else Constant,
        'batch_size': 32,
        'augment': [],
        'momentum': 0.9 if options.optimizer == 'sgd' else None,
        'weight_decay': None,
        'average_shifts': 0,
        'train_samples': 1000 if subset and 'train_samples' in options else None,
        'test_samples': 200 if subset and options.hold_out is None else None,
        'checkpoint_prefix': f'model_{_name_of_data(options)}',
    }
    for name, value in (defaults | RECIPES.get(options.recipe, {})).items():
        if getattr(options, name, None) is None:
            setattr(options, name, value)


def _name_of_data(options):
    if options.data is not None:
        return 'own'
    if options.dataset == 'mnist':
        return options.recipe or ('full' if options.full else 'subset')
    return f'{options.dataset}_{options.recipe}' if options.recipe else options.dataset


def load_data(options, shape=SHAPE):
    """Return the `Data` that the options name.

    Args:
        options: as `complete` leaves them.
        shape: (height, width, channels) that a user's own images are scaled to, or that arrays of them must have.

    Raises:
        ValueError, OSError, ImportError: a file is missing or damaged, or has other or fewer images.
    """
    if options.data is not None:
        (x_train, y_train), (x_test, y_test), classes = _load_own(options, shape)
    else:
        classes = class_names(options.dataset)
        data = load_dataset(options.dataset, options.data_dir) if options.full else preprocess_mnist_data()
        (x_train, y_train), (x_test, y_test) = data
    if options.hold_out is not None:
        if options.hold_out >= len(x_train):
            raise ValueError(
                f'--hold-out: expected less than {len(x_train)}, the training images, got {options.hold_out}'
            )
        x_test, y_test = x_train[-options.hold_out :], y_train[-options.hold_out :]
        x_train, y_train = x_train[: -options.hold_out], y_train[: -options.hold_out]
    train, test = options.train_samples, options.test_samples
    for option, wanted, found in (('--train-samples', train, len(x_train)), ('--test-samples', test, len(x_test))):
        if wanted and wanted > found:
            more = '' if options.full or options.data else '; --full has more'
            raise ValueError(f'{option}: expected at most {found}, got {wanted}{more}')
    return Data((x_train[:train], y_train[:train]), (x_test[:test], y_test[:test]), classes)


def _load_own(options, shape):
    """Load a user's own images, and set a fifth of them aside for testing, the same ones each time."""
    if Path(options.data).suffix == '.npz':
        x, labels, classes = load_npz(options.data)
        if x.shape[1:] != shape:
            raise ValueError(
                f'{options.data}: the network takes images {shape}, these are {x.shape[1:]}; '
                'for others, train in Python: docs/own_images.md'
            )
    else:
        if options.prepare and (shape[0], 1) != shape[1:]:
            raise ValueError(f'--prepare: expected a network that takes grey squares, this one takes {shape}')
        prepare = (lambda path: prepare_digit(path, shape[0]).pixels) if options.prepare else None
        x, labels, classes = load_folder(
            options.data, shape[:2], shape[2], prepare, on_error=options.on_error or 'raise'
        )
    y = np.eye(len(classes), dtype=np.float32)[labels]
    if options.all:
        return (x, y), (x, y), classes
    if len(x) == len(set(labels)):
        raise ValueError(f'{options.data}: expected images both to train and to test on, got {len(x)} in all')
    return *split(x, y, TEST_FRACTION), classes


def make_network(options, classes=10):
    """Return the network that the options name, compiled, for so many classes."""
    net = options.network(options.seed, classes=classes)
    given = {'momentum': options.momentum, 'weight_decay': options.weight_decay}
    given = {name: value for name, value in given.items() if value is not None}
    net.compile(CategoricalCrossEntropy(), KINDS[options.optimizer](**given))
    return net
