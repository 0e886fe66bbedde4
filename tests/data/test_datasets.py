"""Data sets of MNIST's form, from made-up files of the same form; the published files are not at hand here."""

import gzip
import io
import struct
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from mirrors import BAD_ANSWERS, files_below, made_up_files, save_all, sha256, shape_of

from cnnx.data import DataError, class_names, datasets, load_dataset, preprocess_mnist_data

SPLITS = ('balanced', 'letters', 'digits', 'mnist', 'byclass', 'bymerge')
TRAIN, TEST = 7, 3


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Return the folder inside an empty user's cache where downloads belong."""
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    monkeypatch.setenv('NO_PROXY', '127.0.0.1')
    return tmp_path / 'cache' / 'cnnx'


def publish(monkeypatch, name, files, *mirrors):
    """Have a data set be these files, at these addresses."""
    described = {file: (len(data), sha256(data), shape_of(gzip.decompress(data)[:64])) for file, data in files.items()}
    changed = replace(datasets.DATASETS[name], files=described, mirrors=mirrors)
    monkeypatch.setitem(datasets.DATASETS, name, changed)


def numbers(packed):
    content = gzip.decompress(packed)
    shape = shape_of(content)
    return np.frombuffer(content[4 + 4 * len(shape) :], np.uint8).reshape(shape)


def idx(array):
    head = struct.pack(f'>HBB{array.ndim}I', 0, 0x08, array.ndim, *array.shape)
    return gzip.compress(head + array.tobytes(), mtime=0)


def emnist_members(split, first_label, classes, largest=None):
    """Return stand-ins for the four files of a split by name; every class but the last few is there."""
    rng = np.random.default_rng(len(split))
    members = {}
    for kind, count in (('train', TRAIN), ('test', TEST)):
        labels = rng.integers(0, classes, count, np.uint8) + np.uint8(first_label)
        labels[0] = classes - 1 + first_label if largest is None else largest
        labels[1] = first_label
        members[f'emnist-{split}-{kind}-images-idx3-ubyte.gz'] = idx(rng.integers(0, 256, (count, 28, 28), np.uint8))
        members[f'emnist-{split}-{kind}-labels-idx1-ubyte.gz'] = idx(labels)
    return members


def archive_of(members):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, 'w') as file:
        for name, data in members.items():
            file.writestr(f'gzip/{name}', data)
        file.writestr('gzip/readme.txt', 'not unpacked')
    return packed.getvalue()


def publish_emnist(monkeypatch, archive, *mirrors):
    monkeypatch.setattr(datasets, 'EMNIST_ARCHIVE', {'gzip.zip': (len(archive), sha256(archive))})
    monkeypatch.setattr(datasets, 'EMNIST_MIRRORS', mirrors)
    for split in SPLITS:
        smaller = replace(datasets.DATASETS[f'emnist-{split}'], counts=(TRAIN, TEST))
        monkeypatch.setitem(datasets.DATASETS, f'emnist-{split}', smaller)


def all_members():
    members = {}
    for split in SPLITS:
        dataset = datasets.DATASETS[f'emnist-{split}']
        members |= emnist_members(split, dataset.first_label, len(dataset.classes))
    return members


def assert_is(data, files, classes, first_label=0, transposed=False):
    """Assert that data is what four files hold: training images and labels, then those for testing."""
    arrays = [numbers(packed) for packed in files]
    for (x, y), images, labels in zip(data, arrays[::2], arrays[1::2], strict=True):
        images = np.stack([image.T for image in images]) if transposed else images
        np.testing.assert_array_equal(x[..., 0], images.astype(np.float32) / np.float32(255))
        np.testing.assert_array_equal(y, labels[:, np.newaxis] == np.arange(classes) + first_label)
        assert x.shape == (len(images), 28, 28, 1)
        assert x.dtype == y.dtype == np.float32
        assert x.flags.c_contiguous


def test_names_of_classes():
    assert class_names('mnist') == tuple('0123456789')
    assert class_names('fashion')[9] == 'Ankle boot'
    assert class_names('kmnist')[:3] == ('o', 'ki', 'su')
    lengths = {split: len(class_names(f'emnist-{split}')) for split in SPLITS}
    assert lengths == {'balanced': 47, 'letters': 26, 'digits': 10, 'mnist': 10, 'byclass': 62, 'bymerge': 47}
    assert ''.join(class_names('emnist-balanced')) == '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabdefghnqrt'
    assert class_names('emnist-letters')[0] == 'A'


@pytest.mark.parametrize('call', [load_dataset, class_names])
def test_an_unknown_name_lists_the_known_ones(call):
    with pytest.raises(ValueError, match=r"expected one of mnist, fashion, kmnist, emnist-balanced, .*, got 'cifar'"):
        call('cifar')


def test_mnist_is_all_of_it(tmp_path):
    with pytest.raises(DataError, match='t10k-labels'):
        load_dataset('mnist', data_dir=tmp_path)
    with pytest.raises(DataError, match='t10k-labels'):
        preprocess_mnist_data(full=True, data_dir=tmp_path)


def test_sizes_checksums_and_shapes_are_the_published_ones():
    fashion, kmnist = (datasets.DATASETS[name].files for name in ('fashion', 'kmnist'))
    for files in (fashion, kmnist):
        assert list(files) == [f'{kind}-{what}' for kind in ('train', 't10k')
                               for what in ('images-idx3-ubyte.gz', 'labels-idx1-ubyte.gz')]  # fmt: skip
        assert [shape for *_, shape in files.values()] == [(60000, 28, 28), (60000,), (10000, 28, 28), (10000,)]
        assert all(len(digest) == 64 for _, digest, _ in files.values())
    assert [(size, digest[:8]) for size, digest, _ in fashion.values()] == [
        (26421880, '3aede38d'),
        (29515, 'a04f1713'),
        (4422102, '346e55b9'),
        (5148, '67da17c7'),
    ]
    assert [(size, digest[:8]) for size, digest, _ in kmnist.values()] == [
        (18165135, '51467d22'),
        (29497, 'e38f9ebc'),
        (3041136, 'edd7a857'),
        (5120, '20bb9a0e'),
    ]
    assert datasets.EMNIST_ARCHIVE == {
        'gzip.zip': (561753746, 'fb9bb67e33772a9cc0b895e4ecf36d2cf35be8b709693c3564cea2a019fcda8e')
    }
    assert {split: datasets.DATASETS[f'emnist-{split}'].counts for split in SPLITS} == {
        'balanced': (112800, 18800),
        'letters': (124800, 20800),
        'digits': (240000, 40000),
        'mnist': (60000, 10000),
        'byclass': (697932, 116323),
        'bymerge': (697932, 116323),
    }


# Four files as MNIST's


@pytest.mark.parametrize('name', ['fashion', 'kmnist'])
def test_download_into_a_folder_of_its_own(name, cache, monkeypatch, serve):
    files = made_up_files()
    mirror = serve(files)
    publish(monkeypatch, name, files, mirror.url)
    assert_is(load_dataset(name), files.values(), 10)
    assert files_below(cache) == sorted(f'{name}/{file}' for file in files)
    mirror.asked.clear()
    assert_is(load_dataset(name), files.values(), 10)
    assert mirror.asked == []


@pytest.mark.parametrize('kind', BAD_ANSWERS)
def test_a_mirror_that_serves_badly_is_left_for_the_next(kind, cache, monkeypatch, serve):
    files = made_up_files()
    name = next(iter(files))
    bad, good = serve({**files, name: BAD_ANSWERS[kind](files[name])}), serve(files)
    publish(monkeypatch, 'fashion', files, bad.url, good.url)
    assert_is(load_dataset('fashion'), files.values(), 10)
    assert good.asked == [name]


def test_all_mirrors_fail(cache, monkeypatch, serve):
    mirror = serve({})
    publish(monkeypatch, 'kmnist', made_up_files(), mirror.url)
    with pytest.raises(DataError, match=r'cannot be downloaded[\s\S]*the 4 files of KMNIST from elsewhere') as caught:
        load_dataset('kmnist')
    assert mirror.url in str(caught.value)


@pytest.mark.parametrize('way', ['folder', 'folder inside', 'environment', 'inside that of the environment'])
def test_from_a_folder(way, tmp_path, monkeypatch):
    files = made_up_files()
    publish(monkeypatch, 'fashion', files)
    save_all(tmp_path / 'fashion' if 'inside' in way else tmp_path, files)
    if 'environment' in way:
        monkeypatch.setenv('CNNX_DATA_DIR', str(tmp_path))
    assert_is(load_dataset('fashion', None if 'environment' in way else tmp_path), files.values(), 10)


def test_missing_files_are_named(tmp_path, monkeypatch):
    files = made_up_files()
    publish(monkeypatch, 'fashion', files)
    gone, *kept = files
    save_all(tmp_path, {name: files[name] for name in kept})
    with pytest.raises(DataError, match=f'expected {gone} of Fashion-MNIST; without data_dir'):
        load_dataset('fashion', tmp_path)


def test_a_decompressed_file_cannot_be_checked(tmp_path, monkeypatch):
    files = made_up_files()
    publish(monkeypatch, 'fashion', files)
    name = next(iter(files))
    files[name.removesuffix('.gz')] = gzip.decompress(files.pop(name))
    with pytest.raises(DataError, match=f'expected {name} .found it decompressed, .* of Fashion-MNIST; without'):
        load_dataset('fashion', save_all(tmp_path, files))


def test_the_files_of_another_data_set_are_refused(tmp_path, monkeypatch):
    """They have the same names and shapes: only their checksums differ."""
    publish(monkeypatch, 'fashion', made_up_files())
    files = made_up_files()
    name = next(iter(files))
    files[name] = gzip.compress(gzip.decompress(files[name]), 1)
    with pytest.raises(DataError, match='train-images.*not the file of that name of Fashion-MNIST'):
        load_dataset('fashion', save_all(tmp_path, files))


# EMNIST


@pytest.mark.parametrize('split', SPLITS)
def test_emnist_is_read_from_its_archive(split, cache, monkeypatch, serve):
    members = all_members()
    archive = archive_of(members)
    mirror = serve({'gzip.zip': archive})
    publish_emnist(monkeypatch, archive, mirror.url)
    dataset = datasets.DATASETS[f'emnist-{split}']
    mine = [data for name, data in members.items() if f'-{split}-' in name]
    data = load_dataset(f'emnist-{split}')
    assert_is(data, mine, len(dataset.classes), first_label=split == 'letters', transposed=True)
    assert files_below(cache) == ['emnist/gzip.zip'], 'nothing is unpacked'
    assert mirror.asked == ['gzip.zip']


def test_the_splits_of_emnist_share_a_download(cache, monkeypatch, serve):
    archive = archive_of(all_members())
    mirror = serve({'gzip.zip': archive})
    publish_emnist(monkeypatch, archive, mirror.url)
    for split in SPLITS:
        load_dataset(f'emnist-{split}')
    assert mirror.asked == ['gzip.zip']


@pytest.mark.parametrize('place', ['gzip.zip', 'emnist-gzip.zip', 'emnist/gzip.zip'])
def test_emnist_from_an_archive_in_a_folder(place, tmp_path, monkeypatch):
    members = all_members()
    archive = archive_of(members)
    publish_emnist(monkeypatch, archive)
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).write_bytes(archive)
    mine = [data for name, data in members.items() if '-letters-' in name]
    assert_is(load_dataset('emnist-letters', tmp_path), mine, 26, first_label=1, transposed=True)


@pytest.mark.parametrize('unpacked', ['no', 'folder', 'all'])
def test_emnist_from_what_was_unpacked(unpacked, tmp_path, monkeypatch):
    publish_emnist(monkeypatch, b'')
    members = emnist_members('digits', 0, 10)
    files = members
    if unpacked == 'all':
        files = {name.removesuffix('.gz'): gzip.decompress(data) for name, data in members.items()}
    save_all(tmp_path / 'gzip' if unpacked == 'folder' else tmp_path, files)
    assert_is(load_dataset('emnist-digits', tmp_path), members.values(), 10, transposed=True)


def test_emnist_that_is_not_there(tmp_path, monkeypatch):
    publish_emnist(monkeypatch, b'')
    with pytest.raises(DataError, match='expected emnist-digits-train-images-idx3-ubyte.gz, .* of EMNIST digits'):
        load_dataset('emnist-digits', tmp_path)


def test_an_archive_of_something_else_is_refused(tmp_path, monkeypatch):
    publish_emnist(monkeypatch, archive_of(all_members()))
    (tmp_path / 'gzip.zip').write_bytes(archive_of({}))
    with pytest.raises(DataError, match='gzip.zip: not the file of that name of EMNIST'):
        load_dataset('emnist-digits', tmp_path)


@pytest.mark.parametrize('content', [archive_of({}), b'no zip file', b''], ids=['empty', 'junk', 'nothing'])
def test_an_archive_that_cannot_be_read_is_reported(content, tmp_path, monkeypatch):
    publish_emnist(monkeypatch, content)
    (tmp_path / 'gzip.zip').write_bytes(content)
    with pytest.raises(DataError, match='gzip.zip'):
        load_dataset('emnist-digits', tmp_path)


@pytest.mark.parametrize(('split', 'label'), [('digits', 10), ('letters', 27), ('letters', 0), ('balanced', 47)])
def test_labels_out_of_range_are_refused(split, label, tmp_path, monkeypatch):
    publish_emnist(monkeypatch, b'')
    dataset = datasets.DATASETS[f'emnist-{split}']
    members = emnist_members(split, dataset.first_label, len(dataset.classes), largest=label)
    with pytest.raises(DataError, match=f'expected pixels as bytes and labels of {len(dataset.classes)} classes'):
        load_dataset(f'emnist-{split}', save_all(tmp_path, members))


def test_another_number_of_images_is_refused(tmp_path, monkeypatch):
    publish_emnist(monkeypatch, b'')
    members = emnist_members('digits', 0, 10)
    name = 'emnist-digits-test-images-idx3-ubyte.gz'
    members[name] = idx(np.zeros((TEST + 1, 28, 28), np.uint8))
    with pytest.raises(DataError, match=rf'{name}.*expected numbers of shape \(3, 28, 28\), got \(4, 28, 28\)'):
        load_dataset('emnist-digits', save_all(tmp_path, members))
