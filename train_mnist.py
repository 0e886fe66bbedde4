"""Train LeNet-5 on MNIST: settings, data, model, training, evaluation."""

import argparse
import contextlib
import importlib.util
import sys
from pathlib import Path

import cnnx
from cnnx import CategoricalCrossEntropy, Convolutional, Dense, Flatten, MaxPooling, Network, ReLU, Softmax
from cnnx.augmentation import Elastic, Erase, Rotate, Scale, Shear, Shift
from cnnx.comparison import compare_backends
from cnnx.data import preprocess_mnist_data
from cnnx.optimizers import OPTIMIZERS
from cnnx.report import Report
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
PICTURES = ('.png', '.pdf', '.svg')


def parse_settings():
    parser = argparse.ArgumentParser(
        description='Train LeNet-5 to read handwritten digits, and print how many of the test digits it reads right.',
        epilog='Ctrl-C or SIGTERM saves and stops a run, with status 130 or 143; the same command with --resume takes '
        'it to the weights that it would have had.',
    )
    data = parser.add_argument_group('data')
    data.add_argument('--full', action='store_true', help='all 60,000 + 10,000 images, downloaded at first use')
    data.add_argument('--data-dir', metavar='DIR', help='with --full: where the files of MNIST are')
    data.add_argument('--train-samples', type=at_least_1, metavar='N', help='train on the first N (1000; --full: all)')
    data.add_argument('--test-samples', type=at_least_1, metavar='N', help='test on the first N (200; --full: all)')
    training = parser.add_argument_group('training')
    training.add_argument('--epochs', type=at_least_1, default=10, metavar='N', help='times through the data (10)')
    training.add_argument('--optimizer', choices=KINDS, default='sgd', help='which way to step (sgd)')
    training.add_argument('--learning-rate', type=float, metavar='X', help=f"a step's size ({usual_rates()})")
    training.add_argument('--schedule', choices=SCHEDULES, help='how it changes (constant; --full: cosine)')
    training.add_argument('--batch-size', type=at_least_1, default=32, metavar='N', help='images to a step (32)')
    training.add_argument(
        '--augment',
        nargs='+',
        choices=AUGMENTATIONS,
        metavar='NAME',
        help=f'change images at random: {", ".join(AUGMENTATIONS)}',
    )
    training.add_argument('--momentum', type=float, metavar='X', help='kept of the last step (sgd: 0.9, rmsprop: 0)')
    training.add_argument('--seed', type=int, default=0, metavar='N', help='of first weights and order (0)')
    training.add_argument('--threads', type=at_least_1, metavar='N', help='of the compiled kernels (one a processor)')
    training.add_argument('--backend', choices=cnnx.BACKENDS, help='the kernels to use (auto: compiled if possible)')
    saving = parser.add_argument_group('checkpoints')
    saving.add_argument('--resume', action='store_true', help='go on from the newest checkpoint')
    saving.add_argument('--checkpoint-dir', default='checkpoints', metavar='DIR', help='where they go (checkpoints)')
    saving.add_argument('--checkpoint-every', metavar='N|TIME', help='also within epochs: each N batches, or 30s, 5m')
    saving.add_argument('--keep', type=at_least_1, metavar='N', help="only the last N epochs' (all)")
    saving.add_argument('--checkpoint-prefix', metavar='NAME', help='how they begin (model_subset; --full: model_full)')
    more = parser.add_argument_group('more')
    more.add_argument('--find-learning-rate', action='store_true', help='suggest one, and do not train')
    more.add_argument('--plot', metavar='FILE.png', help='draw loss and accuracy by epoch, or loss by learning rate')
    more.add_argument('--report', action='store_true', help='print which digits are taken for which; --plot: also draw')
    more.add_argument('--compare', action='store_true', help='train on both backends and compare them layer by layer')
    settings = parser.parse_args()
    if settings.data_dir is not None and not settings.full:
        parser.error('--data-dir goes with --full; the subset comes with the package')
    if settings.compare and (settings.resume or settings.plot or settings.report or settings.backend):
        parser.error('--compare goes without --resume, --plot, --report and --backend')
    if settings.augment and (settings.compare or settings.find_learning_rate):
        parser.error('--augment goes without --compare and --find-learning-rate')
    if settings.compare and settings.schedule == 'plateau':
        parser.error('--compare goes without --schedule plateau, which needs validation data')
    if settings.find_learning_rate and (settings.resume or settings.compare or settings.report):
        parser.error('--find-learning-rate goes without --resume, --compare and --report')
    if settings.momentum is not None and settings.optimizer not in ('sgd', 'rmsprop'):
        parser.error(f'--momentum goes with --optimizer sgd or rmsprop, not {settings.optimizer}')
    if settings.plot and (Path(settings.plot).suffix not in PICTURES or not Path(settings.plot).parent.is_dir()):
        parser.error(
            f'--plot {settings.plot}: expected a file ending in {", ".join(PICTURES)}, in a folder that exists'
        )
    if settings.plot and importlib.util.find_spec('matplotlib') is None:
        parser.error('--plot needs matplotlib: pip install "cnnx[plot]", or pip install matplotlib')
    if settings.optimizer == 'sgd' and settings.momentum is None:
        settings.momentum = 0.9
    if settings.learning_rate is None:
        settings.learning_rate = KINDS[settings.optimizer].usual_learning_rate
    settings.train_samples = settings.train_samples or (None if settings.full else 1000)
    settings.test_samples = settings.test_samples or (None if settings.full else 200)
    settings.schedule = settings.schedule or ('cosine' if settings.full else 'constant')
    if settings.checkpoint_every is not None and settings.checkpoint_every.isdecimal():
        settings.checkpoint_every = int(settings.checkpoint_every)
    if settings.checkpoint_prefix is None:
        settings.checkpoint_prefix = 'model_full' if settings.full else 'model_subset'
    return settings


def load_data(settings):
    (x_train, y_train), (x_test, y_test) = preprocess_mnist_data(full=settings.full, data_dir=settings.data_dir)
    train, test = settings.train_samples, settings.test_samples
    for option, wanted, there in (('--train-samples', train, x_train), ('--test-samples', test, x_test)):
        if wanted and wanted > len(there):
            raise ValueError(
                f'{option} {wanted}: there are {len(there)}' + ('' if settings.full else '; --full has more')
            )
    return (x_train[:train], y_train[:train]), (x_test[:test], y_test[:test])


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
    net.add(Dense(84, 10))
    net.add(Softmax())
    kind, momentum = KINDS[settings.optimizer], settings.momentum
    net.compile(CategoricalCrossEntropy(), optimizer=kind() if momentum is None else kind(momentum=momentum))
    return net


def find_learning_rate(net, train_data, settings):
    found = net.find_learning_rate(*train_data, batch_size=settings.batch_size)
    rate = 'none' if found.suggestion is None else f'{found.suggestion:.2g}'
    print(f'suggested learning rate: {rate}\n{found.message}')
    if settings.plot:
        found.plot(settings.plot)
        print(f'drew {settings.plot}')


def train(net, train_data, test_data, settings):
    return net.train(
        *train_data,
        epochs=settings.epochs,
        learning_rate=SCHEDULES[settings.schedule](settings.learning_rate),
        batch_size=settings.batch_size,
        augment=[AUGMENTATIONS[name] for name in settings.augment or ()],
        checkpoint_dir=settings.checkpoint_dir,
        checkpoint_prefix=settings.checkpoint_prefix,
        checkpoint_every=settings.checkpoint_every,
        keep=settings.keep,
        resume_from_checkpoint=settings.resume,
        validation_data=test_data,
    )


def evaluate(net, x_test, y_test):
    print('\npredicted  ' + ' '.join(map(str, net.predict_classes(x_test[:20]))))
    print('true digit ' + ' '.join(map(str, y_test[:20].argmax(axis=1))))
    result = net.evaluate(x_test, y_test)
    print(f'\ntest accuracy: {result["accuracy"]:.2%} of {len(x_test)} images (loss {result["loss"]:.4f})')


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
    digits = Report(net, *test_data)
    print(f'\n{digits}')
    if settings.plot:
        path = Path(settings.plot)
        path = path.with_stem(f'{path.stem}_report')
        digits.plot(path)
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
        compare_backends(lambda: build_lenet5(settings), train_data, test_data, **options)
        return
    net = build_lenet5(settings)
    if settings.find_learning_rate:
        find_learning_rate(net, train_data, settings)
        return
    net.summary()
    print(f'\ntraining on {len(train_data[0])} images, testing on {len(test_data[0])}')
    history = train(net, train_data, test_data, settings)
    evaluate(net, *test_data)
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
    except KeyboardInterrupt:
        trained = not (settings.compare or settings.find_learning_rate)
        print('\ninterrupted' + ('; --resume goes on from there' if trained else ''), file=sys.stderr)
        sys.exit(130)


if __name__ == '__main__':
    main()
