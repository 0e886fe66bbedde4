"""`cnnx doctor`: look for what is wrong with data, network and learning rate before training."""

from cnnx.cli.options import DATA, KERNELS, NETWORK, add_options, load_data, make_network


def add_arguments(parser):
    parser.epilog = 'Status: 0 where no problems are found; 1 where there are errors or warnings.'
    add_options(parser, 'data', *DATA)
    add_options(parser, 'training', 'recipe', 'epochs', 'learning-rate', 'batch-size', *NETWORK)
    add_options(parser, 'computation', *KERNELS)


def run(options):
    """Print what `Network.doctor` finds of the training images and the network; return 1 for errors and warnings."""
    data = load_data(options)
    net = make_network(options, len(data.classes))
    given = {name: getattr(options, name) for name in ('learning_rate', 'batch_size', 'epochs')}
    diagnosis = net.doctor(*data.train, **given)
    print(diagnosis)
    return int(not diagnosis)
