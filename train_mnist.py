"""Train LeNet-5 on MNIST or its kin, or on images of your own: settings, data, model, training, evaluation."""

import argparse
import contextlib
import importlib.util
import sys
from pathlib import Path

import numpy as np

import cnnx
from cnnx import CategoricalCrossEntropy, Convolutional, Dense, Dropout, Flatten, MaxPooling, Network, ReLU, Softmax
from cnnx._util.output import unfailing_output
from cnnx.augmentation import Elastic, Erase, Rotate, Scale, Shear, Shift
from cnnx.augmentation.test_time import predict_with_shifts
from cnnx.cli.drawing import why_not_drawn
from cnnx.data import class_names, load_dataset, load_folder, load_npz, prepare_digit, preprocess_mnist_data
from cnnx.data.datasets import NAMES
from cnnx.diagnostics.classification_report import ClassificationReport
from cnnx.diagnostics.compare_backends import compare_backends
from cnnx.optimizers import OPTIMIZERS
from cnnx.schedules import Constant, Cosine, Exponential, OneCycle, ReduceOnPlateau, StepDecay

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
    'elastic': Elastic(34, 4),
    'erase': Erase(0.5, 0.1),
}
DISTORTIONS = [Shift(2), Rotate(10), Scale(0.15, each_axis=True), Shear(10), Elastic(20, 4)]
# Chosen by what they reach on 10,000 training images that were held out: docs/training_mnist.md.
RECIPES = {
    'lenet': {
        'epochs': 60,
        'learning_rate': 0.05,
        'schedule': 'one-cycle',
        'batch_size': 64,
        'augment': DISTORTIONS,
        'weight_decay': 5e-4,
    },
    'accurate': {
        'epochs': 34,
        'learning_rate': 0.03,
        'schedule': 'one-cycle',
        'batch_size': 64,
        'augment': DISTORTIONS,
        'weight_decay': 5e-4,
        'average_shifts': 1,
    },
}
TEST_SHARE = 0.2  # of images of one's own
SIDE = 28  # pixels, of all images
GOES_WITHOUT = {
    'data': ('recipe', 'full'),
    'compare': ('resume', 'plot', 'report', 'backend', 'augment', 'recipe'),
    'find_learning_rate': ('resume', 'compare', 'report', 'augment', 'recipe'),
    'doctor': ('find_learning_rate', 'resume', 'compare', 'report', 'plot'),
}


def parse_settings(arguments=None):
    parser = argparse.ArgumentParser(
        description='Train LeNet-5 to read handwritten digits, and print how many of the test digits it reads right.',
        epilog='Ctrl-C, SIGTERM or SIGHUP saves and stops a run, with status 130, 143 or 129; the same command with '
        '--resume takes it to the weights that it would have had.',
    )
    data = parser.add_argument_group('data')
    data.add_argument('--full', action='store_true', help='all 60,000 + 10,000 images, downloaded at first use')
    data.add_argument('--hold-out', type=at_least_1, metavar='N', help='test on the last N training images instead')
    data.add_argument('--dataset', choices=NAMES, default='mnist', help='with --full: which data set (mnist)')
    data.add_argument('--data-dir', metavar='DIR', help='with --full: where the files of the data set are')
    data.add_argument('--data', metavar='FOLDER|FILE.npz', help='your own images: FOLDER/CLASS/*.png, or x and y')
    data.add_argument('--prepare', action='store_true', help='with --data FOLDER: find the digits on photographs')
    data.add_argument('--train-samples', type=at_least_1, metavar='N', help='train on the first N (1000; else all)')
    data.add_argument('--test-samples', type=at_least_1, metavar='N', help='test on the first N (200; else all)')
    training = parser.add_argument_group('training')
    training.add_argument(
        '--recipe',
        choices=RECIPES,
        help='--full, and settings for the best that this network, or a larger one, can learn',
    )
    training.add_argument('--epochs', type=at_least_1, metavar='N', help='times through the data (10)')
    training.add_argument('--optimizer', choices=KINDS, default='sgd', help='which way to step (sgd)')
    training.add_argument('--learning-rate', type=float, metavar='X', help=f"a step's size ({usual_rates()})")
    training.add_argument('--schedule', choices=SCHEDULES, help='how it changes (constant; --full: cosine)')
    training.add_argument('--batch-size', type=at_least_1, metavar='N', help='images to a step (32)')
    training.add_argument(
        '--augment',
        nargs='+',
        choices=AUGMENTATIONS,
        metavar='NAME',
        help=f'change images at random: {", ".join(AUGMENTATIONS)}',
    )
    training.add_argument('--momentum', type=float, metavar='X', help='kept of the last step (sgd: 0.9, rmsprop: 0)')
    training.add_argument('--weight-decay', type=float, metavar='X', help='draws weights to 0 (adamw: 0.01; else 0)')
    training.add_argument('--seed', type=int, default=0, metavar='N', help='of first weights and order (0)')
    training.add_argument('--threads', type=at_least_1, metavar='N', help='of the compiled kernels (one a processor)')
    training.add_argument('--backend', choices=cnnx.BACKENDS, help='the kernels to use (auto: compiled if possible)')
    saving = parser.add_argument_group('checkpoints')
    saving.add_argument('--resume', action='store_true', help='go on from the newest checkpoint')
    saving.add_argument('--checkpoint-dir', default='checkpoints', metavar='DIR', help='where they go (checkpoints)')
    saving.add_argument('--checkpoint-every', metavar='N|TIME', help='also within epochs: each N batches, or 30s, 5m')
    saving.add_argument('--keep', type=at_least_1, metavar='N', help="only the last N epochs' (all)")
    saving.add_argument('--checkpoint-prefix', metavar='NAME', help='how they begin (model_subset)')
    more = parser.add_argument_group('more')
    more.add_argument('--find-learning-rate', action='store_true', help='suggest one, and do not train')
    more.add_argument('--doctor', action='store_true', help='say what speaks against training like this, and do not')
    more.add_argument('--plot', metavar='FILE.png', help='draw loss and accuracy by epoch, or loss by learning rate')
    more.add_argument(
        '--report', action='store_true', help='print which classes are taken for which; --plot: also draw'
    )
    more.add_argument(
        '--average-shifts',
        type=at_least_1,
        metavar='N',
        help='also test on the mean over shifts by up to N pixels (accurate: 1)',
    )
    more.add_argument('--compare', action='store_true', help='train on both backends and compare them layer by layer')
    settings = parser.parse_args(arguments)
    settings.full = settings.full or settings.recipe is not None
    check_settings(settings, parser)
    fill_in_settings(settings)
    return settings


def check_settings(settings, parser):
    for option, others in GOES_WITHOUT.items():
        for other in others:
            if getattr(settings, option) and getattr(settings, other):
                parser.error(f'--{option} goes without --{other}'.replace('_', '-'))
    if settings.data_dir is not None and not settings.full:
        parser.error('--data-dir goes with --full; the subset comes with the package')
    if settings.dataset != 'mnist' and not settings.full:
        parser.error(f'--dataset {settings.dataset} goes with --full; only MNIST has a subset in the package')
    if settings.recipe and settings.optimizer != 'sgd':
        parser.error(f'--recipe {settings.recipe} goes with --optimizer sgd, not {settings.optimizer}')
    own_folder = settings.data is not None and Path(settings.data).suffix != '.npz'
    if settings.prepare and not own_folder:
        parser.error('--prepare goes with --data FOLDER')
    if own_folder and importlib.util.find_spec('PIL') is None:
        parser.error('--data FOLDER needs Pillow: pip install "cnnx[images]", or pip install pillow')
    if settings.average_shifts is not None and settings.average_shifts >= SIDE:
        parser.error(f'--average-shifts {settings.average_shifts}: expected less than the {SIDE} pixels of an image')
    if settings.compare and settings.schedule == 'plateau':
        parser.error('--compare goes without --schedule plateau, which needs validation data')
    if settings.momentum is not None and settings.optimizer not in ('sgd', 'rmsprop'):
        parser.error(f'--momentum goes with --optimizer sgd or rmsprop, not {settings.optimizer}')
    if settings.plot and (wrong := why_not_drawn('--plot', settings.plot)):
        parser.error(wrong)


def fill_in_settings(settings):
    subset = not settings.full and settings.data is None
    if settings.augment:
        settings.augment = [AUGMENTATIONS[name] for name in settings.augment]
    usual = {
        'epochs': 10,
        'learning_rate': KINDS[settings.optimizer].usual_learning_rate,
        'schedule': 'cosine' if settings.full else 'constant',
        'batch_size': 32,
        'augment': [],
        'momentum': 0.9 if settings.optimizer == 'sgd' else None,
        'train_samples': 1000 if subset else None,
        'test_samples': 200 if subset and settings.hold_out is None else None,
    }
    for name, value in {**usual, **RECIPES.get(settings.recipe, {})}.items():
        if getattr(settings, name) is None:
            setattr(settings, name, value)
    if settings.checkpoint_every is not None and settings.checkpoint_every.isdecimal():
        settings.checkpoint_every = int(settings.checkpoint_every)
    if settings.checkpoint_prefix is None:
        settings.checkpoint_prefix = f'model_{name_of_data(settings)}'
    settings.classes = class_names(settings.dataset)


def name_of_data(settings):
    if settings.data is not None:
        return 'own'
    if settings.dataset == 'mnist':
        return settings.recipe or ('full' if settings.full else 'subset')
    return f'{settings.dataset}_{settings.recipe}' if settings.recipe else settings.dataset


def load_data(settings):
    if settings.data is not None:
        (x_train, y_train), (x_test, y_test) = load_own(settings)
    elif settings.full:
        (x_train, y_train), (x_test, y_test) = load_dataset(settings.dataset, settings.data_dir)
    else:
        (x_train, y_train), (x_test, y_test) = preprocess_mnist_data()
    if settings.hold_out is not None:
        if settings.hold_out >= len(x_train):
            raise ValueError(f'--hold-out {settings.hold_out}: expected less than the {len(x_train)} training images')
        x_test, y_test = x_train[-settings.hold_out :], y_train[-settings.hold_out :]
        x_train, y_train = x_train[: -settings.hold_out], y_train[: -settings.hold_out]
    train, test = settings.train_samples, settings.test_samples
    for option, wanted, there in (('--train-samples', train, x_train), ('--test-samples', test, x_test)):
        if wanted and wanted > len(there):
            raise ValueError(
                f'{option} {wanted}: there are {len(there)}'
                + ('' if settings.full or settings.data is not None else '; --full has more')
            )
    return (x_train[:train], y_train[:train]), (x_test[:test], y_test[:test])


def load_own(settings):
    """Load images of one's own, set some aside for testing, the same ones each time, and take over their classes."""
    if Path(settings.data).suffix == '.npz':
        x, labels, settings.classes = load_npz(settings.data)
    else:
        prepare = (lambda path: prepare_digit(path).pixels) if settings.prepare else None
        x, labels, settings.classes = load_folder(settings.data, prepare=prepare)
    if x.shape[1:] != (28, 28, 1):
        raise ValueError(f'{settings.data}: LeNet-5 takes images (28, 28, 1), these are {x.shape[1:]}')
    kept = round(len(x) * (1 - TEST_SHARE))
    if not 0 < kept < len(x):
        raise ValueError(f'{settings.data}: expected some images to train on and some to test on, got {len(x)} in all')
    order = np.random.default_rng(0).permutation(len(x))
    x, y = x[order], np.eye(len(settings.classes), dtype=np.float32)[labels[order]]
    return (x[:kept], y[:kept]), (x[kept:], y[kept:])


def build_lenet5(settings):
    net = Network(seed=settings.seed)
    net.add(Convolutional(input_shape=(28, 28, 1), num_filters=6, kernel_size=(5, 5), padding='same'))
    net.add(ReLU())
    net.add(MaxPooling(pool_size=(2, 2), stride=(2, 2)))
    net.add(Convolutional(input_shape=(14, 14, 6), num_filters=16, kernel_size=(5, 5), padding='valid'))
    net.add(ReLU())
    net.add(MaxPooling(pool_size=(2, 2), stride=(2, 2)))
    net.add(Flatten())
    net.add(Dense(400, 120))
    net.add(ReLU())
    net.add(Dense(120, 84))
    net.add(ReLU())
    net.add(Dense(84, len(settings.classes)))
    net.add(Softmax())
    return net


def build_accurate(settings):
    """Return pairs of convolutions of 3 x 3 with a max-pooling behind each (Simonyan and Zisserman, 2015)."""
    net = Network(seed=settings.seed)
    net.add(Convolutional(input_shape=(28, 28, 1), num_filters=24, kernel_size=3, padding='same'))
    net.add(ReLU())
    net.add(Convolutional(num_filters=24, kernel_size=3, padding='same'))
    net.add(ReLU())
    net.add(MaxPooling(2))
    net.add(Convolutional(num_filters=48, kernel_size=3, padding='same'))
    net.add(ReLU())
    net.add(Convolutional(num_filters=48, kernel_size=3, padding='same'))
    net.add(ReLU())
    net.add(MaxPooling(2))
    net.add(Convolutional(num_filters=96, kernel_size=3, padding='same'))
    net.add(ReLU())
    net.add(Convolutional(num_filters=96, kernel_size=3))
    net.add(ReLU())
    net.add(Flatten())
    net.add(Dense(output_size=192))
    net.add(ReLU())
    net.add(Dropout(0.5))
    net.add(Dense(output_size=len(settings.classes)))
    net.add(Softmax())
    return net


def make_network(settings):
    net = (build_accurate if settings.recipe == 'accurate' else build_lenet5)(settings)
    given = {'momentum': settings.momentum, 'weight_decay': settings.weight_decay}
    optimizer = KINDS[settings.optimizer](**{name: value for name, value in given.items() if value is not None})
    net.compile(CategoricalCrossEntropy(), optimizer)
    return net


def find_learning_rate(net, train_data, settings):
    found = net.find_learning_rate(*train_data, batch_size=settings.batch_size)
    rate = 'none' if found.suggestion is None else f'{found.suggestion:.2g}'
    print(f'suggested learning rate: {rate}\n{found.message}')
    if settings.plot:
        found.plot(settings.plot)
        print(f'drew {settings.plot}')


def train(net, train_data, test_data, settings):
    try:
        return net.train(
            *train_data,
            epochs=settings.epochs,
            learning_rate=SCHEDULES[settings.schedule](settings.learning_rate),
            batch_size=settings.batch_size,
            augment=settings.augment,
            checkpoint_dir=settings.checkpoint_dir,
            checkpoint_prefix=settings.checkpoint_prefix,
            checkpoint_every=settings.checkpoint_every,
            keep=settings.keep,
            resume_from_checkpoint=settings.resume,
            validation_data=test_data,
        )
    except KeyboardInterrupt:
        raise KeyboardInterrupt('--resume goes on from there') from None


def evaluate(net, x_test, y_test, settings):
    classes = settings.classes
    width = max(map(len, classes))
    count = 20 if width == 1 else 5
    print()
    for title, labels in (
        ('predicted ', net.predict_classes(x_test[:count])),
        (f'true {"digit" if classes == class_names("mnist") else "class"}', y_test[:count].argmax(axis=1)),
    ):
        print(title, ' '.join(f'{classes[label]:{width}}' for label in labels))
    result = net.evaluate(x_test, y_test)
    kind = 'test' if settings.hold_out is None else 'held-out'
    print(f'\n{kind} accuracy: {result["accuracy"]:.2%} of {len(x_test)} images (loss {result["loss"]:.4f})')
    if settings.average_shifts:
        outputs = predict_with_shifts(net.predict, x_test, settings.average_shifts)
        share = np.mean(outputs.argmax(axis=1) == y_test.argmax(axis=1))
        print(f'averaged over shifts by up to {settings.average_shifts}: {share:.2%}')


def plot(history, path):
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(9, 3.6), layout='constrained')
    for axes, key in zip(figure.subplots(1, 2), ('loss', 'accuracy'), strict=True):
        epochs = range(1, len(history[key]) + 1)
        axes.plot(epochs, history[key], marker='o', markersize=3, label='training')
        axes.plot(epochs, history[f'val_{key}'], marker='o', markersize=3, label='test')
        axes.set(xlabel='epoch', ylabel=key)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=120)
    print(f'drew {path}')


def report(net, test_data, settings):
    classes = ClassificationReport(net, *test_data, classes=settings.classes)
    print(f'\n{classes}')
    if settings.plot:
        path = Path(settings.plot)
        path = path.with_stem(f'{path.stem}_report')
        classes.plot(path)
        print(f'drew {path}')


def usual_rates():
    rates = {}
    for name, kind in KINDS.items():
        rates.setdefault(kind.usual_learning_rate, []).append(name)
    return '; '.join(f'{", ".join(names)}: {rate}' for rate, names in rates.items())


def at_least_1(text):
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f'expected a whole number of at least 1, got {text!r}')
    return int(text)


def run(settings):
    train_data, test_data = load_data(settings)
    if settings.compare:
        options = {'epochs': settings.epochs, 'batch_size': settings.batch_size}
        options['learning_rate'] = SCHEDULES[settings.schedule](settings.learning_rate)
        compare_backends(lambda: make_network(settings), train_data, test_data, **options)
        return
    net = make_network(settings)
    if settings.find_learning_rate:
        find_learning_rate(net, train_data, settings)
        return
    if settings.doctor:
        print(net.doctor(*train_data, learning_rate=settings.learning_rate, batch_size=settings.batch_size))
        return
    net.summary()
    print(f'\ntraining on {len(train_data[0])} images, testing on {len(test_data[0])}')
    history = train(net, train_data, test_data, settings)
    evaluate(net, *test_data, settings)
    if settings.plot:
        plot(history, Path(settings.plot))
    if settings.report:
        report(net, test_data, settings)


def main():
    settings = parse_settings()
    try:
        if settings.threads:
            cnnx.set_num_threads(settings.threads)
        with cnnx.use_backend(settings.backend) if settings.backend else contextlib.nullcontext():
            run(settings)
    except (ValueError, OSError, cnnx.BackendError, cnnx.DivergenceError) as error:
        sys.exit(f'train_mnist.py: {error}')
    except KeyboardInterrupt as interrupt:
        print('\n' + '; '.join(('interrupted', *interrupt.args)), file=sys.stderr)
        sys.exit(130)


if __name__ == '__main__':
    with unfailing_output():
        main()
