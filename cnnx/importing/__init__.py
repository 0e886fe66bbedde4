"""Networks and weights from others: files that other programs write. The form follows from the name of the file."""

import importlib
import os

# The module of each form of networks; it has a function `load(network_class, path, **options)`.
FORMATS = {
    '.onnx': 'cnnx.importing.onnx',
}


def reads(path):
    """Whether a path ends as one of these forms does."""
    return os.path.splitext(str(path))[1].lower() in FORMATS


def load(network_class, path, **options):
    """Make a network from a file of another program.

    Raises:
        CheckpointError: the file is damaged, or holds what cnnx does not have.
        ImportError: the form needs a package that is not installed.
        OSError: there is no such file, or it cannot be opened.
    """
    return importlib.import_module(FORMATS[os.path.splitext(str(path))[1].lower()]).load(network_class, path, **options)
