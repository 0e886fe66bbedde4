"""Fixtures of data sets: files in MNIST's format, and an empty cache."""

import pytest
from mirrors import described, made_up_files

from cnnx.data import mnist


@pytest.fixture(autouse=True)
def _no_data_dir(monkeypatch):
    monkeypatch.delenv('CNNX_DATA_DIR', raising=False)


@pytest.fixture
def official(monkeypatch):
    """Make small stand-ins for the official files: their bytes by name; mnist.FILES describes them."""
    packed = made_up_files()
    monkeypatch.setattr(mnist, 'FILES', described(packed))
    return packed


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Return the folder inside an empty user's cache where downloads belong."""
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    monkeypatch.setenv('NO_PROXY', '127.0.0.1')
    return tmp_path / 'cache' / 'cnnx' / 'mnist'
