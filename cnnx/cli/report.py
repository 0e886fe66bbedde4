"""`cnnx report`: the classification report of a saved network on a data set or on a user's own images."""

from cnnx.cli.drawing import picture_file
from cnnx.cli.options import DATA, KERNELS, add_options, load_data
from cnnx.diagnostics.classification_report import ClassificationReport
from cnnx.network import Network


def add_arguments(parser):
    parser.add_argument('model', metavar='MODEL', help='a file of Network.save, or a checkpoint')
    group = add_options(parser, 'data', *(name for name in DATA if name != 'train-samples'))
    group.add_argument('--all', action='store_true', help='with --data: all images, not the fifth that train tests on')
    group = parser.add_argument_group('output')
    group.add_argument('--plot', type=picture_file, metavar='FILE.png', help='draw the confusion matrix and mistakes')
    add_options(parser, 'computation', *KERNELS)


def run(options):
    """Print the confusion matrix, and precision, recall and F1 by class, of a saved network on test images."""
    net = Network.load(options.model)
    data = data_for(net, options)
    report = ClassificationReport(net, *data.test, classes=data.classes)
    print(report)
    if options.plot:
        report.plot(options.plot)
        print(f'drew {options.plot}')


def data_for(net, options):
    """Return the `Data` that the options name, with labels in the order of a network's classes.

    Raises:
        ValueError, OSError, ImportError: the data cannot be read, or does not fit the network.
    """
    shape = net.input_shape
    if len(shape) != 3:
        raise ValueError(f'{options.model}: expected a network for images (height, width, channels), it takes {shape}')
    data = load_data(options, shape)
    if net.class_names is not None:
        data = data.in_order_of(net.class_names, options.model)
    outputs = net.layers[-1].shape
    if outputs != (len(data.classes),) and not (outputs == (1,) and len(data.classes) == 2):
        raise ValueError(f'{options.model}: expected {len(data.classes)} outputs, one a class, got {outputs}')
    return data
