"""For PyInstaller, which freezes applications: the folder with the hook that says what cnnx needs."""

from pathlib import Path


def hook_dirs():
    """Return the folders with hooks: what the entry point `pyinstaller40` of pyproject.toml calls."""
    return [str(Path(__file__).parent)]
