"""MNIST: the bundled subset, and all of it from a folder."""

import gzip
import importlib.util
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from mirrors import NAMES, assert_is_official, files_below, save_all, use_mirrors

from cnnx.data import DataError, mnist, preprocess_mnist_data, read_idx

REPOSITORY = Path(__file__).parents[2]
IMAGES = NAMES[0]
FULL_DATA = os.environ.get('CNNX_DATA_DIR')
needs_full_data = pytest.mark.skipif(not FULL_DATA, reason='CNNX_DATA_DIR does not name a folder with the full MNIST')


@pytest.fixture(scope='module')
def subset():
    return preprocess_mnist_data()


# The bundled subset


def test_subset_shapes_and_dtypes(subset):
    (x_train, y_train), (x_test, y_test) = subset
    assert (x_train.shape, y_train.shape) == ((5000, 28, 28, 1), (5000, 10))
    assert (x_test.shape, y_test.shape) == ((1000, 28, 28, 1), (1000, 10))
    assert {array.dtype for array in (x_train, y_train, x_test, y_test)} == {np.dtype(np.float32)}


def test_subset_pixels_go_from_0_to_1(subset):
    for x, _ in subset:
        assert x.min() == 0
        assert x.max() == 1
        assert 0.12 < x.mean() < 0.14


def test_subset_labels_are_one_hot_and_of_all_digits(subset):
    for _, y in subset:
        assert set(np.unique(y)) == {0, 1}
        assert (y.sum(axis=1) == 1).all()
        assert (y.sum(axis=0) > 0.08 * len(y)).all()


def test_subset_begins_with_the_digits_that_mnist_begins_with(subset):
    (_, y_train), (_, y_test) = subset
    assert y_train[:10].argmax(axis=1).tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert y_test[:10].argmax(axis=1).tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]


def test_subset_is_attributed():
    text = (mnist.SUBSET / 'ATTRIBUTION.md').read_text('utf-8')
    for name in ('LeCun', 'Cortes', 'Burges', 'CC BY-SA 3.0'):
        assert name in text


def test_subset_does_not_depend_on_the_environment(subset, monkeypatch, tmp_path):
    monkeypatch.setenv('CNNX_DATA_DIR', str(tmp_path))
    np.testing.assert_array_equal(preprocess_mnist_data()[1][0], subset[1][0])


def test_arrays_are_the_callers_own(subset):
    (x_train, y_train), _ = preprocess_mnist_data()
    x_train[:] = 0.5
    y_train[:] = 0.5
    np.testing.assert_array_equal(preprocess_mnist_data()[0][0], subset[0][0])


def test_data_dir_goes_with_full_only(tmp_path):
    with pytest.raises(ValueError, match='data_dir.*full=True'):
        preprocess_mnist_data(data_dir=tmp_path)


@needs_full_data
def test_subset_is_the_beginning_of_the_full_data(subset):
    full = preprocess_mnist_data(full=True, data_dir=FULL_DATA)
    for count, whole, part in zip((60000, 10000), full, subset, strict=True):
        for all_samples, first_samples in zip(whole, part, strict=True):
            assert len(all_samples) == count
            np.testing.assert_array_equal(all_samples[: len(first_samples)], first_samples)


@pytest.mark.parametrize('source', ['subset', pytest.param('full data', marks=[needs_full_data, pytest.mark.slow])])
def test_the_tool_makes_the_very_bytes_of_the_subset(monkeypatch, tmp_path, source):
    spec = importlib.util.spec_from_file_location('make_mnist_subset', REPOSITORY / 'tools' / 'make_mnist_subset.py')
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    monkeypatch.setattr(tool, 'SUBSET', tmp_path)
    # The beginning of the subset is the subset.
    monkeypatch.setattr(
        sys, 'argv', ['make_mnist_subset.py', FULL_DATA if source == 'full data' else str(mnist.SUBSET)]
    )
    tool.main()
    assert files_below(tmp_path) == sorted(NAMES)
    for name in NAMES:
        assert (tmp_path / name).read_bytes() == (mnist.SUBSET / name).read_bytes(), name


# All of MNIST, from a folder


@pytest.mark.parametrize('kind', [Path, str])
def test_full_from_data_dir(official, tmp_path, kind):
    folder = save_all(tmp_path / 'data', official)
    assert_is_official(preprocess_mnist_data(full=True, data_dir=kind(folder)), official)


def test_full_from_the_environment(official, tmp_path, monkeypatch):
    monkeypatch.setenv('CNNX_DATA_DIR', str(save_all(tmp_path / 'data', official)))
    assert_is_official(preprocess_mnist_data(full=True), official)


def test_data_dir_comes_before_the_environment(official, tmp_path, monkeypatch):
    empty = tmp_path / 'empty'
    empty.mkdir()
    folder = save_all(tmp_path / 'data', official)
    monkeypatch.setenv('CNNX_DATA_DIR', str(empty))
    assert_is_official(preprocess_mnist_data(full=True, data_dir=folder), official)
    monkeypatch.setenv('CNNX_DATA_DIR', str(folder))
    with pytest.raises(DataError, match='empty'):
        preprocess_mnist_data(full=True, data_dir=empty)


def test_a_folder_comes_before_the_cache(official, tmp_path, monkeypatch, cache):
    use_mirrors(monkeypatch)
    save_all(cache, official)
    empty = tmp_path / 'empty'
    empty.mkdir()
    monkeypatch.setenv('CNNX_DATA_DIR', str(empty))
    with pytest.raises(DataError, match='empty'):
        preprocess_mnist_data(full=True)


def test_plain_files_are_read_as_well(official, tmp_path):
    folder = save_all(
        tmp_path, {name.removesuffix('.gz'): gzip.decompress(packed) for name, packed in official.items()}
    )
    assert_is_official(preprocess_mnist_data(full=True, data_dir=folder), official)


def test_plain_and_compressed_files_may_mix(official, tmp_path):
    files = dict(official)
    files[IMAGES.removesuffix('.gz')] = gzip.decompress(files.pop(IMAGES))
    assert_is_official(preprocess_mnist_data(full=True, data_dir=save_all(tmp_path, files)), official)


def test_files_in_a_folder_may_be_compressed_again(official, tmp_path):
    again = {name: gzip.compress(gzip.decompress(packed), 1) for name, packed in official.items()}
    assert again != official
    assert_is_official(preprocess_mnist_data(full=True, data_dir=save_all(tmp_path, again)), official)


@pytest.mark.parametrize('form', ['dot', 'folder', 'folder with dots', 'deeper'])
def test_files_under_the_names_that_archives_give_them(official, tmp_path, form):
    for name, packed in official.items():
        plain = name.removesuffix('.gz')
        dotted = plain.replace('-idx', '.idx')
        forms = {'dot': dotted, 'folder': f'{plain}/{plain}', 'folder with dots': f'{dotted}/{dotted}'}
        path = forms.get(form, f'MNIST/raw/{plain}')
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(gzip.decompress(packed))
    assert_is_official(preprocess_mnist_data(full=True, data_dir=tmp_path), official)


def test_a_file_that_has_to_be_renamed_is_named(official, tmp_path):
    files = {**official, 'train-images.gz': official[IMAGES]}
    del files[IMAGES]
    with pytest.raises(DataError, match=rf'expected {IMAGES} \(found train-images.gz: rename it\) of MNIST; without'):
        preprocess_mnist_data(full=True, data_dir=save_all(tmp_path, files))


@pytest.mark.parametrize('gone', [NAMES[:1], NAMES[1:3], NAMES], ids=['one', 'two', 'all'])
def test_missing_files_are_named(official, tmp_path, gone):
    folder = save_all(tmp_path / 'data', {name: data for name, data in official.items() if name not in gone})
    with pytest.raises(DataError) as caught:
        preprocess_mnist_data(full=True, data_dir=folder)
    message = str(caught.value)
    assert str(folder) in message
    assert [name for name in NAMES if name in message] == list(gone)


def test_missing_folder(tmp_path):
    with pytest.raises(DataError, match='nowhere'):
        preprocess_mnist_data(full=True, data_dir=tmp_path / 'nowhere')


@pytest.mark.parametrize('name', NAMES)
def test_a_file_with_other_content_is_refused(official, tmp_path, name):
    content = bytearray(gzip.decompress(official[name]))
    content[-1] ^= 1
    folder = save_all(tmp_path, {**official, name: gzip.compress(content)})
    with pytest.raises(DataError, match='not the MNIST file of that name') as caught:
        preprocess_mnist_data(full=True, data_dir=folder)
    assert str(folder / name) in str(caught.value)


def test_another_size_is_refused_before_it_takes_memory(official, tmp_path):
    content = bytearray(gzip.decompress(official[IMAGES]))
    content[4:8] = (60_000).to_bytes(4, 'big')
    folder = save_all(tmp_path, {**official, IMAGES: gzip.compress(content)})
    with pytest.raises(DataError, match=r'train-images.*: expected numbers of shape \(7, 28, 28\), got \(60000, '):
        preprocess_mnist_data(full=True, data_dir=folder)


def test_swapped_files_are_refused(official, tmp_path):
    train, test = NAMES[0], NAMES[2]
    folder = save_all(tmp_path, {**official, train: official[test], test: official[train]})
    with pytest.raises(DataError, match='train-images.*: expected numbers of shape'):
        preprocess_mnist_data(full=True, data_dir=folder)


def test_the_same_numbers_of_another_type_are_refused(official, tmp_path):
    content = bytearray(gzip.decompress(official[IMAGES]))
    content[2] = 0x09
    with pytest.raises(DataError, match='not the MNIST file of that name'):
        preprocess_mnist_data(full=True, data_dir=save_all(tmp_path, {**official, IMAGES: gzip.compress(content)}))


@pytest.mark.parametrize('damage', [lambda data: data[:-9], lambda data: b'', lambda data: b'<html>404</html>'])
def test_a_damaged_file_is_refused(official, tmp_path, damage):
    folder = save_all(tmp_path, {**official, IMAGES: damage(official[IMAGES])})
    with pytest.raises(DataError) as caught:
        preprocess_mnist_data(full=True, data_dir=folder)
    assert str(folder / IMAGES) in str(caught.value)


def test_mirrors_and_checksums_are_those_of_mnist():
    assert len(mnist.MIRRORS) == 2
    assert all(url.startswith('https://') and url.endswith('/') for url in mnist.MIRRORS)
    assert {name: size for name, (size, *_) in mnist.FILES.items()} == {
        'train-images-idx3-ubyte.gz': 9912422,
        'train-labels-idx1-ubyte.gz': 28881,
        't10k-images-idx3-ubyte.gz': 1648877,
        't10k-labels-idx1-ubyte.gz': 4542,
    }
    assert {name: sha256[:8] for name, (_, sha256, *_) in mnist.FILES.items()} == {
        'train-images-idx3-ubyte.gz': '440fcabf',
        'train-labels-idx1-ubyte.gz': '3552534a',
        't10k-images-idx3-ubyte.gz': '8d422c7b',
        't10k-labels-idx1-ubyte.gz': 'f7ae60f9',
    }
    assert {name: content[:8] for name, (*_, content) in mnist.FILES.items()} == {
        'train-images-idx3-ubyte.gz': 'ba891046',
        'train-labels-idx1-ubyte.gz': '65a50cbb',
        't10k-images-idx3-ubyte.gz': '0fa7898d',
        't10k-labels-idx1-ubyte.gz': 'ff7bcfd4',
    }


def test_subset_is_read_by_the_reader():
    assert read_idx(mnist.SUBSET / NAMES[3]).shape == (1000,)
