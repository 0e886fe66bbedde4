"""Whether matplotlib can draw a picture to a file that a command was given."""

import importlib.util
from pathlib import Path

FORMATS = ('.png', '.pdf', '.svg')


def why_not_drawn(option, path):
    """Return what is wrong with a command's option and the path behind it, or None."""
    path = Path(path)
    if path.suffix not in FORMATS or not path.parent.is_dir():
        return f'{option} {path}: expected a file ending in {", ".join(FORMATS)}, in a folder that exists'
    if importlib.util.find_spec('matplotlib') is None:
        return f'{option} needs matplotlib: pip install "cnnx[plot]", or pip install matplotlib'
    return None
