"""`cnnx export`: a saved network as a file for other programs, in the form that the file's name ends with."""

import ast

import numpy as np

from cnnx.data import load_npz, preprocess_mnist_data
from cnnx.export import FORMATS
from cnnx.network import Network

ARRAYS = 'calibrate', 'samples'  # options that are arrays
LOADING = 'input_shape', 'output'  # options of Network.load
BUNDLED = 'bundled'
BUNDLED_SAMPLES = 500


def add_arguments(parser):
    parser.add_argument('model', metavar='MODEL', help='a file of Network.save, a checkpoint, or an .onnx file')
    parser.add_argument('file', metavar='FILE', help=f'the file to write; its name ends with {", ".join(FORMATS)}')
    parser.add_argument(
        *('--option', '-o'),
        action='append',
        default=[],
        metavar='NAME=VALUE',
        help='an option of Network.export for this form, such as opset=17, fold=True or precision=int8; can be '
        f'repeated; {" and ".join(ARRAYS)} are given as FILE.npz of images, FILE.npy, or {BUNDLED}: digits of MNIST; '
        f'of an .onnx MODEL also {" and ".join(LOADING)} of Network.load',
    )


def run(options):
    """Load the network and write it."""
    settings = dict(_option(text) for text in options.option)
    try:
        loading = {name: settings.pop(name) for name in LOADING if name in settings}
        Network.load(options.model, **loading).export(options.file, **settings)
    except TypeError as error:  # of an option that there is not
        raise ValueError(str(error)) from None


def _option(text):
    """Return (name, value) of a text such as 'opset=17'; what is no value of Python is taken as text."""
    name, equals, value = text.partition('=')
    if not equals or not name.isidentifier():
        raise ValueError(f'--option: expected NAME=VALUE, such as opset=17, got {text}')
    if name in ARRAYS:
        return name, _array(name, value)
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value


def _array(name, text):
    """Return images of the package's data, or those of an .npz file, or the array in a .npy file."""
    if text == BUNDLED:
        return preprocess_mnist_data()[0][0][:BUNDLED_SAMPLES]
    if text.endswith('.npz'):
        return load_npz(text)[0]
    try:
        return np.lib.format.open_memmap(text, mode='r')
    except ValueError as error:
        raise ValueError(f'{name}: expected {BUNDLED}, FILE.npz or FILE.npy, got {text} ({error})') from None
