"""A folder of its own for each test of a command, and images of a user."""

import numpy as np
import pytest

import cnnx
from cnnx.data import preprocess_mnist_data


@pytest.fixture(autouse=True)
def _in_a_folder_on_one_thread(tmp_path, monkeypatch):
    """Run each test in its own folder; two threads that wait for each other are slow on a busy machine."""
    monkeypatch.chdir(tmp_path)
    before = cnnx.num_threads()
    cnnx.set_num_threads(1)
    yield
    cnnx.set_num_threads(before)


@pytest.fixture(scope='session')
def own(tmp_path_factory):
    """Return a folder with pictures of three digits by class, and an .npz file of the same."""
    image = pytest.importorskip('PIL.Image')
    folder = tmp_path_factory.mktemp('own')
    (x, y), _ = preprocess_mnist_data()
    labels = y.argmax(axis=1)
    chosen = np.flatnonzero(labels < 3)[:150]
    for i in chosen:
        path = folder / 'pictures' / ('zero', 'one', 'two')[labels[i]] / f'{i:04}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        image.fromarray((x[i, ..., 0] * 255).astype(np.uint8)).save(path)
    np.savez(folder / 'data.npz', x=x[chosen], y=labels[chosen], classes=['zero', 'one', 'two'])
    return folder
