"""Networks for others: files that other programs read. The form follows from the name of the file."""

import importlib
import os

from cnnx._util.validation import path_of_file

# The module of each form; it has a function `export(network, path, **options)`.
FORMATS = {
    '.onnx': 'cnnx.export.onnx',
    '.c': 'cnnx.export.c',
    '.html': 'cnnx.export.html',
}


def export(network, path, **options):
    """Write a network to a file, in the form that its name ends with.

    Raises:
        ValueError: there is no such form, or the network or an option does not fit it.
        ImportError: the form needs a package that is not installed.
        OSError: the file cannot be written.
    """
    ending = os.path.splitext(os.fspath(path_of_file(path)))[1].lower()
    if ending not in FORMATS:
        hint = '; save(path) writes .npz files' if ending == '.npz' else ''
        raise ValueError(f'export: expected a name that ends with {" or ".join(FORMATS)}, got {path}{hint}')
    importlib.import_module(FORMATS[ending]).export(network, path, **options)


def writes_weights(path):
    """Whether `save_weights` writes files whose names end so, and not the core."""
    return os.path.splitext(str(path))[1].lower() == '.safetensors'


def save_weights(network, path, layout=None):
    """Write the parameters of a network as `Network.save_weights` says."""
    importlib.import_module('cnnx.export.weights').save_weights(network, path, layout)
