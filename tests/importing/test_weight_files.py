"""Files of weights as they are read: damaged and hostile ones are refused."""

import sys
from pathlib import Path

import numpy as np
import pytest

from cnnx import CheckpointError
from cnnx.importing.weight_files import _in_order_of_writing, natural, read

FILES = Path(__file__).parent / 'files'


def test_names_are_sorted_by_their_numbers():
    names = ['10.weight', '2.weight', 'conv2d_10', 'conv2d', 'conv2d_2']
    assert sorted(names, key=natural) == ['2.weight', '10.weight', 'conv2d', 'conv2d_2', 'conv2d_10']


def test_safetensors_of_half_precision_are_widened():
    pytest.importorskip('safetensors')
    arrays = read(FILES / 'torch.safetensors')
    with np.load(FILES / 'torch.npz') as expected:
        assert (arrays['up.weight'] == expected['up.weight']).all()
        assert arrays.keys() == set(expected.files)


def test_older_files_of_keras_give_the_order_of_the_layers():
    pytest.importorskip('pyfive')
    names = [name.split('/')[0] for name in read(FILES / 'keras.h5')]
    assert list(dict.fromkeys(names))[:4] == ['conv2d', 'batch_normalization', 'depthwise_conv2d', 'conv2d_transpose']


def test_attributes_of_absurd_sizes_are_refused(tmp_path):
    pytest.importorskip('pyfive')
    content = bytearray((FILES / 'keras.h5').read_bytes())
    content[10659] = 64  # an attribute has 2^30 values more
    (tmp_path / 'large.h5').write_bytes(content)
    with pytest.raises(CheckpointError, match='an attribute announces more values'):
        read(tmp_path / 'large.h5')


@pytest.mark.parametrize(('name', 'package'), [('keras.weights.h5', 'pyfive'), ('torch.safetensors', 'safetensors')])
def test_damaged_files_are_refused(tmp_path, name, package):
    pytest.importorskip(package)
    content, path = (FILES / name).read_bytes(), tmp_path / name
    for damaged in (b'', b'abc', content[:50], content[: len(content) // 2], bytes(9) + content[9:]):
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match='damaged'):
            read(path)
    with pytest.raises(FileNotFoundError):
        read(tmp_path / f'nowhere{path.suffix}')


@pytest.mark.parametrize(('name', 'package'), [('keras.h5', 'pyfive'), ('torch.safetensors', 'safetensors')])
def test_a_package_that_is_missing_is_named(name, package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=f'need the package {package}: pip install "cnnx'):
        read(FILES / name)


def test_links_external_data_and_absurd_sizes_in_hdf5_are_refused(tmp_path):
    pytest.importorskip('pyfive')
    h5py = pytest.importorskip('h5py')

    def soft(file):
        file['w'] = h5py.SoftLink('/elsewhere')

    def external(file):
        file.create_dataset('w', shape=(4,), dtype='f4', external=[('/etc/hostname', 0, 16)])

    def absurd(file):
        file.create_dataset('w', shape=(2**40,), dtype='f4', chunks=(2**10,))

    def circle(file):
        group = file.create_group('w')
        group['w'] = group

    for number, make in enumerate((soft, external, absurd, circle)):
        path = tmp_path / f'{number}.h5'
        with h5py.File(path, 'w') as file:
            make(file)
        with pytest.raises(CheckpointError, match='damaged, or no HDF5 file of weights'):
            read(path)


def test_arrays_come_in_the_order_of_writing_unless_numbers_deny_it():
    names = ['layers/conv2d/vars/0', 'layers/conv2d_1/vars/0', 'layers/sequential/layers/conv2d/vars/0']
    arrays = dict.fromkeys(names)
    assert list(_in_order_of_writing(arrays, dict(zip(names, (20, 30, 10), strict=True)))) == [names[2], *names[:2]]
    assert list(_in_order_of_writing(arrays, dict(zip(names, (30, 20, 10), strict=True)))) == names
