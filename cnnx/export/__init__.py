"""Files of a network for other programs: one module a format, chosen by how the file's name ends."""

import importlib
from pathlib import Path

# The module of each ending; it has a function `write(network, path, **options)`.
FORMATS = {'.c': 'cnnx.export.c'}


def export(network, path, **options):
    """Write a network to a file whose name says the format; see `write` of the format's module for the options.

    Raises:
        ValueError: the name ends in none of FORMATS, or the network cannot be written so.
        OSError: the file cannot be written.
    """
    ending = Path(path).suffix.lower()
    if ending not in FORMATS:
        raise ValueError(f'export: expected a file name that ends in {" or ".join(FORMATS)}, got {str(path)!r}')
    importlib.import_module(FORMATS[ending]).write(network, path, **options)
