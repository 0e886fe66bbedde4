"""`cnnx train`: train LeNet-5, or the network of a recipe, on a data set or on a user's own images."""

import shlex
import sys

import numpy as np

from cnnx.augmentation import predict_with_shifts
from cnnx.callbacks import Watch
from cnnx.cli.drawing import page_file, picture_file
from cnnx.cli.options import (
    DATA,
    KERNELS,
    NETWORK,
    TRAINING,
    add_options,
    at_least_1,
    less_than_side,
    load_data,
    make_network,
)
from cnnx.diagnostics.classification_report import ClassificationReport


def add_arguments(parser):
    parser.epilog = (
        'Ctrl-C, SIGTERM or SIGHUP saves and stops a run, with status 130, 143 or 129; the same command with '
        '--resume continues it, to the weights that it would have had.'
    )
    add_options(parser, 'data', *DATA)
    training = add_options(parser, 'training', *TRAINING, *NETWORK)
    training.add_argument(
        '--watch',
        type=page_file,
        nargs='?',
        const='run.html',
        metavar='FILE.html',
        help='show the run in a page for a browser (run.html), which is its report in the end',
    )
    saving = parser.add_argument_group('checkpoints')
    saving.add_argument('--resume', action='store_true', help='continue from the newest checkpoint, exactly')
    saving.add_argument('--checkpoint-dir', default='checkpoints', metavar='DIR', help='where they go (checkpoints)')
    saving.add_argument('--checkpoint-prefix', metavar='NAME', help='how their names begin (model_subset, ...)')
    saving.add_argument(
        '--checkpoint-every',
        type=lambda text: int(text) if text.isdecimal() else text,
        metavar='N|TIME',
        help='also within epochs: every N batches, or 30s, 5m, 1h',
    )
    saving.add_argument('--keep', type=at_least_1, metavar='N', help='only those of the last N epochs (all)')
    evaluation = parser.add_argument_group('evaluation')
    evaluation.add_argument(
        '--average-shifts',
        type=less_than_side,
        metavar='N',
        help='also test on the mean over shifts by up to N pixels (recipe accurate: 1)',
    )
    evaluation.add_argument('--report', action='store_true', help='print metrics by class, and the confusion matrix')
    evaluation.add_argument(
        '--plot', type=picture_file, metavar='FILE.png', help='draw loss and accuracy by epoch; the report, too'
    )
    add_options(parser, 'computation', *KERNELS)


def run(options):
    """Train, print the loss of each epoch and the accuracy on test images, and save a checkpoint after each epoch."""
    data = load_data(options)
    net = make_network(options, len(data.classes))
    net.class_names = data.classes
    net.summary()
    print(f'\ntraining on {len(data.train[0])} images, testing on {len(data.test[0])}')
    history = _train(net, data, options)
    _evaluate(net, data, options)
    if options.plot:
        history.plot(options.plot)
        print(f'drew {options.plot}')
    if options.report:
        report = ClassificationReport(net, *data.test, classes=data.classes)
        print(f'\n{report}')
        if options.plot:
            path = options.plot.with_stem(f'{options.plot.stem}_report')
            report.plot(path)
            print(f'drew {path}')


def _train(net, data, options):
    try:
        return net.train(
            *data.train,
            validation_data=data.test,
            epochs=options.epochs,
            learning_rate=options.schedule(options.learning_rate),
            batch_size=options.batch_size,
            augment=options.augment,
            callbacks=[Watch(options.watch)] if options.watch else [],
            checkpoint_dir=options.checkpoint_dir,
            checkpoint_prefix=options.checkpoint_prefix,
            checkpoint_every=options.checkpoint_every,
            keep=options.keep,
            resume_from_checkpoint=options.resume,
        )
    except (KeyboardInterrupt, SystemExit):
        command = shlex.join(options.command_line + ['--resume'] * (not options.resume))
        print(f'interrupted; to continue:\n  {command}', file=sys.stderr)
        raise


def _evaluate(net, data, options):
    """Print the predictions for the first test images, and the accuracy on all of them."""
    (x, y), width = data.test, max(map(len, data.classes))
    first = 20 if width == 1 else 5
    predicted, true = net.predict_classes(x[:first]), y[:first].argmax(axis=1)
    print('\npredicted ', *(f'{data.classes[label]:{width}}' for label in predicted))
    print('true class', *(f'{data.classes[label]:{width}}' for label in true))
    result = net.evaluate(x, y)
    kind = 'test' if options.hold_out is None else 'held-out'
    print(f'\n{kind} accuracy: {result["accuracy"]:.2%} of {len(x)} images (loss {result["loss"]:.4f})')
    if options.average_shifts:
        predicted = predict_with_shifts(net.predict, x, options.average_shifts).argmax(axis=1)
        correct = np.mean(predicted == y.argmax(axis=1))
        print(f'averaged over shifts by up to {options.average_shifts}: {correct:.2%}')
