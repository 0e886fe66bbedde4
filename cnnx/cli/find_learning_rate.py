"""`cnnx find-learning-rate`: suggest a learning rate by the learning-rate range test."""

from cnnx.cli.drawing import picture_file
from cnnx.cli.options import DATA, KERNELS, NETWORK, add_options, load_data, make_network


def add_arguments(parser):
    add_options(parser, 'data', *DATA)
    group = add_options(parser, 'training', 'batch-size', *NETWORK)
    group.add_argument('--plot', type=picture_file, metavar='FILE.png', help='draw loss by learning rate')
    add_options(parser, 'computation', *KERNELS)


def run(options):
    """Print the learning rate that `Network.find_learning_rate` suggests, and why."""
    data = load_data(options)
    found = make_network(options, len(data.classes)).find_learning_rate(*data.train, batch_size=options.batch_size)
    rate = 'none' if found.suggestion is None else f'{found.suggestion:.2g}'
    print(f'suggested learning rate: {rate}\n{found.message}')
    if options.plot:
        found.plot(options.plot)
        print(f'drew {options.plot}')
