"""The command `cnnx`: its parser, and how it ends."""

import argparse
import contextlib
import io
import sys
import warnings

from cnnx.cli import (
    augment,
    checkpoint,
    compare,
    config,
    doctor,
    export,
    find_learning_rate,
    look,
    predict,
    profile,
    report,
    train,
)
from cnnx.cli.options import complete
from cnnx.cli.output import closed_pipes_are_quiet
from cnnx.kernels import set_num_threads, use_backend
from cnnx.training.divergence import DivergenceError

COMMANDS = {  # in the order in which a user meets them
    'train': (train, 'train a network on MNIST, on data sets in its format, or on your own images'),
    'report': (report, 'print confusion matrix, precision, recall and F1 of a saved network'),
    'predict': (predict, 'print what a saved network sees in pictures'),
    'look': (look, 'draw what a saved network sees: feature maps, what speaks for a class, its errors, and more'),
    'doctor': (doctor, 'look for what is wrong with data, network and learning rate before training'),
    'find-learning-rate': (find_learning_rate, 'suggest a learning rate'),
    'export': (export, 'write a saved network for other programs'),
    'augment': (augment, 'draw digits as random changes of training images leave them'),
    'checkpoint': (checkpoint, 'check saved files, or print the differences between two of them'),
    'compare': (compare, 'train with both backends, NumPy and compiled, and compare them layer by layer'),
    'profile': (profile, 'print where the time of a training step goes'),
    'config': (config, 'print version, backend, threads and compiler, for bug reports'),
}
EXAMPLES = """examples:
  LeNet-5 on 1,000 images of MNIST:    {prog} train
  on your own digits, photos/3/*.jpg:  {prog} train --data photos --prepare
  the digit on a photograph:           {prog} predict photo.jpg
  the same by a network of your own:   {prog} predict model.npz photo.jpg

{prog} COMMAND --help lists the options of a command.
Status: 0; 1 as that help says; 2 where a command could not do its work.
"""


def make_parser(prog='cnnx'):
    """Return the parser of all commands."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description='Train convolutional networks on the CPU, examine them, and use them.',
        epilog=EXAMPLES.format(prog=prog),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(title='commands', dest='command', metavar='COMMAND', required=True)
    for name, (module, text) in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=f'{text[0].upper()}{text[1:]}.')
        module.add_arguments(command)
        command.set_defaults(run=module.run, error=command.error)
    return parser


def parse(arguments, prog='cnnx'):
    """Return a command's options, those that were left out filled in; exit with status 2 where they are wrong."""
    options = make_parser(prog).parse_args(arguments)
    options.command_line = sys.orig_argv if [*arguments] == sys.argv[1:] else [*prog.split(), *arguments]
    if 'dataset' in options:
        complete(options, options.error)
    return options


def main(arguments=None, prog='cnnx'):
    """Run a command; return its exit status."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # names of files and classes may hold any characters
        sys.stdout.reconfigure(errors='backslashreplace')
    options = parse(sys.argv[1:] if arguments is None else arguments, prog)
    threads, backend = getattr(options, 'threads', None), getattr(options, 'backend', None)
    try:
        if threads:
            set_num_threads(threads, '--threads')
        with (
            closed_pipes_are_quiet(),
            _warnings_in_a_line(f'{prog} {options.command}'),
            use_backend(backend) if backend else contextlib.nullcontext(),
        ):
            return options.run(options) or 0
    except (ValueError, OSError, ImportError, DivergenceError) as error:
        print(f'{prog} {options.command}: {error}', file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


@contextlib.contextmanager
def _warnings_in_a_line(command):
    """A context in which warnings are printed as errors are, without the place in the code that gave them."""
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: print(f'{command}: {message}', file=sys.stderr)
        yield
