"""Train LeNet-5 to read handwritten digits (MNIST): settings, data, network, training, evaluation, in this order.

docs/one_step.md follows one training step from here to a kernel and back.
"""

import argparse
import contextlib
import shlex
import sys

import numpy as np

import cnnx
from cnnx import SGD, CategoricalCrossEntropy, Convolutional, Dense, Flatten, MaxPooling, Network, ReLU, Softmax
from cnnx.augmentation import predict_with_shifts
from cnnx.callbacks import Watch
from cnnx.cli.drawing import page_file, picture_file
from cnnx.cli.output import closed_pipes_are_quiet
from cnnx.data import preprocess_mnist_data
from cnnx.diagnostics.compare_backends import compare_backends
from cnnx.models import RECIPES
from cnnx.schedules import Constant, Cosine


def parse_settings(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.partition(':')[0], epilog='More options: cnnx train --help')
    add = parser.add_argument
    add('--full', action='store_true', help='use all 70,000 images; they are downloaded at first use')
    add('--data-dir', metavar='DIR', help="with --full: the folder with MNIST's files")
    add('--train-samples', type=at_least_1, metavar='N', help='train on the first N (1000; --full: all)')
    add('--test-samples', type=at_least_1, metavar='N', help='test on the first N (200; --full: all)')
    add('--recipe', choices=RECIPES, help='--full with the best settings for LeNet-5 or a more accurate network')
    add('--epochs', type=at_least_1, metavar='N', help='passes over the training images (10)')
    add('--learning-rate', type=float, metavar='X', help='size of a step (0.01)')
    add('--batch-size', type=at_least_1, metavar='N', help='images in a step (32)')
    add('--momentum', type=float, metavar='X', help='fraction of the last step that goes into the next (0.9)')
    add('--seed', type=int, default=0, metavar='N', help='of the random weights and orders (0)')
    add('--threads', type=at_least_1, metavar='N', help='of the compiled kernels (one for each processor)')
    add('--backend', choices=cnnx.BACKENDS, help='kernels to use (auto: compiled ones if available)')
    add('--resume', action='store_true', help='continue from the newest checkpoint, exactly')
    add('--checkpoint-dir', default='checkpoints', metavar='DIR', help='where checkpoints are saved (checkpoints)')
    add('--checkpoint-prefix', metavar='NAME', help='how their names begin (model_subset, model_full, model_RECIPE)')
    add('--plot', type=picture_file, metavar='FILE.png', help='draw loss and accuracy by epoch')
    add('--watch', type=page_file, metavar='FILE.html', help='show the run in a page for a browser')
    add('--compare', action='store_true', help='train with both backends, and compare them layer by layer')
    settings = parser.parse_args(arguments)
    settings.full = settings.full or settings.recipe is not None
    if settings.data_dir is not None and not settings.full:
        parser.error('--data-dir goes with --full; the subset comes with the package')
    for other in ('resume', 'plot', 'watch', 'backend', 'recipe'):
        if settings.compare and getattr(settings, other):
            parser.error(f'--compare goes without --{other}')
    defaults = {
        'train_samples': None if settings.full else 1000,  # None takes all
        'test_samples': None if settings.full else 200,
        'network': lenet5,
        'epochs': 10,
        'learning_rate': 0.01,
        'schedule': Cosine if settings.full else Constant,
        'batch_size': 32,
        'momentum': 0.9,
        'weight_decay': 0,
        'augment': [],
        'average_shifts': 0,
        'checkpoint_prefix': f'model_{settings.recipe or ("full" if settings.full else "subset")}',
    }
    for name, value in (defaults | RECIPES.get(settings.recipe, {})).items():
        if getattr(settings, name, None) is None:
            setattr(settings, name, value)
    return settings


def at_least_1(text):
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f'expected a whole number of at least 1, got {text!r}')
    return int(text)


def load_data(settings):
    """Return (x, y) to train on and (x, y) to test on: x is (N, 28, 28, 1), from 0 to 1; y is (N, 10), one-hot."""
    (x_train, y_train), (x_test, y_test) = preprocess_mnist_data(settings.full, settings.data_dir)
    train, test = settings.train_samples, settings.test_samples
    for option, wanted, found in (('--train-samples', train, len(x_train)), ('--test-samples', test, len(x_test))):
        if wanted and wanted > found:
            more = '' if settings.full else '; --full has more'
            raise ValueError(f'{option}: expected at most {found}, got {wanted}{more}')
    return (x_train[:train], y_train[:train]), (x_test[:test], y_test[:test])


def lenet5(seed):
    net = Network(seed=seed)
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
    return net


def make_network(settings):
    net = settings.network(settings.seed)
    net.compile(CategoricalCrossEntropy(), SGD(momentum=settings.momentum, weight_decay=settings.weight_decay))
    return net


def train(net, train_data, test_data, settings):
    try:
        return net.train(
            *train_data,
            validation_data=test_data,
            epochs=settings.epochs,
            learning_rate=settings.schedule(settings.learning_rate),
            batch_size=settings.batch_size,
            augment=settings.augment,
            callbacks=[Watch(settings.watch)] if settings.watch else [],
            checkpoint_dir=settings.checkpoint_dir,
            checkpoint_prefix=settings.checkpoint_prefix,
            resume_from_checkpoint=settings.resume,
        )
    except (KeyboardInterrupt, SystemExit):  # Ctrl-C and SIGTERM; the checkpoint is saved
        command = shlex.join(sys.orig_argv + ['--resume'] * (not settings.resume))
        print(f'interrupted; to continue:\n  {command}', file=sys.stderr)
        raise


def evaluate(net, x, y, settings):
    print('\npredicted ', *net.predict_classes(x[:20]))
    print('true digit', *y[:20].argmax(axis=1))
    result = net.evaluate(x, y)
    print(f'\ntest accuracy: {result["accuracy"]:.2%} of {len(x)} images (loss {result["loss"]:.4f})')
    if settings.average_shifts:
        predicted = predict_with_shifts(net.predict, x, settings.average_shifts).argmax(axis=1)
        print(f'averaged over shifts by up to {settings.average_shifts}: {np.mean(predicted == y.argmax(axis=1)):.2%}')


def run(settings):
    train_data, test_data = load_data(settings)
    if settings.compare:
        rate = settings.schedule(settings.learning_rate)
        options = {'epochs': settings.epochs, 'learning_rate': rate, 'batch_size': settings.batch_size}
        compare_backends(lambda: make_network(settings), train_data, test_data, **options)
        return
    net = make_network(settings)
    net.summary()
    print(f'\ntraining on {len(train_data[0])} images, testing on {len(test_data[0])}')
    history = train(net, train_data, test_data, settings)
    evaluate(net, *test_data, settings)
    if settings.plot:
        history.plot(settings.plot)
        print(f'drew {settings.plot}')


def main():
    settings = parse_settings()
    try:
        if settings.threads:
            cnnx.set_num_threads(settings.threads, '--threads')
        backend = cnnx.use_backend(settings.backend) if settings.backend else contextlib.nullcontext()
        with closed_pipes_are_quiet(), backend:
            run(settings)
    except (ValueError, OSError, cnnx.BackendError, cnnx.DivergenceError) as error:
        sys.exit(f'train_mnist.py: {error}')
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == '__main__':
    main()
