"""The hook for PyInstaller: it is found, names all kernels and data files, and a frozen application trains."""

import os
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import cnnx
from cnnx._pyinstaller import hook_dirs

PACKAGE = Path(cnnx.__file__).parent
HOOK = Path(hook_dirs()[0]) / 'hook-cnnx.py'
# What tests need and the application does not: PyInstaller would follow it for minutes.
NOT_NEEDED = ('matplotlib', 'PIL', 'IPython', 'torch', 'hypothesis', 'pytest', 'setuptools', 'pooch', 'tkinter')
APPLICATION = """
import cnnx
from cnnx.data import preprocess_mnist_data

(x, y), _ = preprocess_mnist_data()
net = cnnx.Network(seed=0)
for layer in (cnnx.Flatten(input_shape=(28, 28, 1)), cnnx.Dense(output_size=10), cnnx.Softmax()):
    net.add(layer)
net.compile(cnnx.CategoricalCrossEntropy(), 'adam')
net.train(x, y, epochs=1, checkpoint_dir='checkpoints')
cnnx.show_config()
"""


def test_the_hook_is_where_pyinstaller_asks():
    project = tomllib.loads((Path(__file__).parents[2] / 'pyproject.toml').read_text())['project']
    assert project['entry-points']['pyinstaller40'] == {'hook-dirs': f'{hook_dirs.__module__}:{hook_dirs.__name__}'}
    assert HOOK.is_file()


def test_it_names_all_kernels_and_data_files():
    pytest.importorskip('PyInstaller', reason='needs PyInstaller: pip install pyinstaller')
    cnnx.kernels.current()
    hook = runpy.run_path(str(HOOK))
    loaded = {name for name in sys.modules if name.startswith(('cnnx._ext', 'cnnx._numpy'))}
    assert loaded <= set(hook['hiddenimports'])
    found = {Path(file) for file, _ in hook['datas']}
    assert set((PACKAGE / 'data' / 'mnist_subset').iterdir()) <= found
    assert not [path for path in found if path.suffix in ('.pyx', '.pxd', '.h')]


@pytest.mark.slow
def test_a_frozen_application_trains_on_the_backend_that_is_here(tmp_path):
    pytest.importorskip('PyInstaller', reason='needs PyInstaller: pip install pyinstaller')
    (tmp_path / 'app.py').write_text(APPLICATION)
    options = ['--additional-hooks-dir', HOOK.parent, '--paths', PACKAGE.parent]
    options += [option for name in NOT_NEEDED for option in ('--exclude-module', name)]
    command = [sys.executable, '-m', 'PyInstaller', '--noconfirm', *options, 'app.py']
    subprocess.run(command, cwd=tmp_path, env={**os.environ, 'PYTHONPATH': str(PACKAGE.parent)}, check=True)
    run = subprocess.run(['dist/app/app'], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=True)
    assert 'epoch 1/1: loss' in run.stdout
    assert f'backend:   {cnnx.kernels.current().name}' in run.stdout
    assert run.stderr == ''
    assert (tmp_path / 'checkpoints' / 'model_epoch_1.npz').is_file()
