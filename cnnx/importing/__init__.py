"""Networks and weights from others: files that other programs write. The form follows from the name of the file."""

import importlib
import os

# The module of each form of networks; it has a function `load(network_class, path, **options)`.
FORMATS = {
    '.onnx': 'cnnx.importing.onnx',
}
# How names of files of weights end that the core does not read.
WEIGHTS = ('.safetensors', '.h5', '.hdf5')


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


def reads_weights(path):
    """Whether a path ends as files of weights of other libraries do."""
    return os.path.splitext(str(path))[1].lower() in WEIGHTS


def load_weights(network, path, layout=None):
    """Take the weights from a file of another library as `Network.load_weights` says."""
    importlib.import_module('cnnx.importing.weights').load_weights(network, path, layout)
