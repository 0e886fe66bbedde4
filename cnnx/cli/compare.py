"""`cnnx compare`: train with both backends, NumPy and compiled, and compare them layer by layer."""

from cnnx.cli.options import DATA, NETWORK, SCHEDULES, add_options, load_data, make_network
from cnnx.diagnostics.compare_backends import compare_backends


def add_arguments(parser):
    add_options(parser, 'data', *DATA)
    group = add_options(parser, 'training', 'epochs', 'learning-rate', 'batch-size', *NETWORK)
    group.add_argument(
        '--schedule',
        choices=[name for name in SCHEDULES if name != 'plateau'],  # which needs validation data
        help='how the learning rate changes (constant; with --full: cosine)',
    )
    add_options(parser, 'computation', 'threads')


def run(options):
    """Print differences and times of both backends, layer by layer, and the results of both runs."""
    data = load_data(options)
    compare_backends(
        lambda: make_network(options, len(data.classes)),
        data.train,
        data.test,
        epochs=options.epochs,
        learning_rate=options.schedule(options.learning_rate),
        batch_size=options.batch_size,
    )
