"""`cnnx export`: a saved network as a file for other programs, in the form that the file's name ends with."""

import ast

from cnnx.export import FORMATS
from cnnx.network import Network


def add_arguments(parser):
    parser.add_argument('model', metavar='MODEL', help='a file of Network.save, a checkpoint, or an .onnx file')
    parser.add_argument('file', metavar='FILE', help=f'the file to write; its name ends with {", ".join(FORMATS)}')
    parser.add_argument(
        *('--option', '-o'),
        action='append',
        default=[],
        metavar='NAME=VALUE',
        help='an option of Network.export for this form, such as opset=17, layout=NCHW or fold=True; can be repeated',
    )


def run(options):
    """Load the network and write it."""
    settings = dict(_option(text) for text in options.option)
    try:
        Network.load(options.model).export(options.file, **settings)
    except TypeError as error:  # of an option that there is not
        raise ValueError(str(error)) from None


def _option(text):
    """Return (name, value) of a text such as 'opset=17'; what is no value of Python is taken as text."""
    name, equals, value = text.partition('=')
    if not equals or not name.isidentifier():
        raise ValueError(f'--option: expected NAME=VALUE, such as opset=17, got {text}')
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value
