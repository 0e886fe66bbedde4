"""Folders of pictures by class: their order, what is skipped, refused or left out."""

from pathlib import PurePath

import numpy as np
import pytest

pytest.importorskip('PIL')
from PIL import Image

from cnnx.data import DataError, DataWarning, load_folder
from cnnx.data.folders import SUFFIXES, class_folders


def make_folder(folder, classes=('cat', 'dog'), count=2, shape=(28, 28)):
    for number, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            Image.new('L', shape[::-1], 100 * number + i).save(folder / name / f'{i}.{"PNG" if i else "png"}')
    return folder


def test_a_folder_by_class(tmp_path):
    make_folder(tmp_path)
    (tmp_path / 'notes.txt').write_text('skipped')
    (tmp_path / 'cat' / 'notes.txt').write_text('skipped')
    (tmp_path / 'cat' / '._1.png').write_text('skipped')
    (tmp_path / '.cache').mkdir()
    x, labels, names = load_folder(tmp_path)
    assert x.shape == (4, 28, 28, 1)
    assert x.dtype == np.float32
    assert names == ('cat', 'dog')
    assert labels.tolist() == [0, 0, 1, 1]
    np.testing.assert_allclose(x[:, 0, 0, 0] * 255, [0, 1, 100, 101], rtol=1e-6)


def test_a_folder_in_colours_scaled(tmp_path):
    x, _, _ = load_folder(make_folder(tmp_path, shape=(10, 40)), size=(16, 12), channels=3)
    assert x.shape == (4, 16, 12, 3)


def test_a_folder_prepared_by_a_function(tmp_path):
    x, _, _ = load_folder(make_folder(tmp_path), size=(2, 2), prepare=lambda path: np.full((2, 2, 1), float(path.stem)))
    assert x[:, 0, 0, 0].tolist() == [0, 1, 0, 1]
    x, _, _ = load_folder(tmp_path, 2, prepare=lambda path: np.full((2, 2, 1), 51, np.uint8))
    assert x[:, 0, 0, 0].tolist() == pytest.approx([0.2] * 4)
    with pytest.raises(ValueError, match=r'0.png: expected an image of shape \(2, 2, 1\) from prepare, got \(3, 3\)'):
        load_folder(tmp_path, 2, prepare=lambda path: np.ones((3, 3)))


def test_folders_that_cannot_be(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_folder(tmp_path / 'nowhere')
    with pytest.raises(DataError, match='expected a folder for each of two classes or more.*got 0'):
        load_folder(tmp_path)
    make_folder(tmp_path)
    (tmp_path / 'empty').mkdir()
    with pytest.raises(DataError, match=r'empty: expected images of this class, ending in .png'):
        load_folder(tmp_path)
    (tmp_path / 'empty' / 'bad.jpg').write_bytes(b'')
    with pytest.raises(DataError, match=r'bad.jpg: expected a PNG, JPEG'):
        load_folder(tmp_path)


def test_pictures_of_all_kinds_are_found(tmp_path):
    for name in ('cat', 'dog'):
        (tmp_path / name).mkdir()
        for suffix in SUFFIXES:
            Image.new('L', (4, 4), 51).save(tmp_path / name / f'picture{suffix}')
    x, labels, _ = load_folder(tmp_path, size=4)
    assert x.shape == (2 * len(SUFFIXES), 4, 4, 1)
    np.testing.assert_allclose(x, 0.2, atol=0.01)
    assert labels.tolist() == [0] * len(SUFFIXES) + [1] * len(SUFFIXES)


def test_shuffled_pictures_keep_their_labels(tmp_path):
    make_folder(tmp_path, count=9, shape=(4, 4))
    x, labels, _ = load_folder(tmp_path, size=4)
    mixed, mixed_labels, names = load_folder(tmp_path, size=4, shuffle=True, seed=3)
    assert names == ('cat', 'dog')
    assert mixed_labels.tolist() != labels.tolist()
    assert sorted(zip(mixed[:, 0, 0, 0], mixed_labels, strict=True)) == list(zip(x[:, 0, 0, 0], labels, strict=True))
    again, other = (load_folder(tmp_path, size=4, shuffle=True, seed=seed)[0] for seed in (3, 4))
    np.testing.assert_array_equal(again, mixed)
    assert (other != mixed).any()


def test_classes_are_in_the_order_of_their_names_on_every_system(tmp_path, monkeypatch):
    """Windows compares paths in small letters: a before B."""
    make_folder(tmp_path, ('a', 'B', 'C'), count=1)
    monkeypatch.setattr(PurePath, '__lt__', lambda self, other: str(self).lower() < str(other).lower())
    (tmp_path / '__MACOSX').mkdir()
    assert [path.name for path in class_folders(tmp_path)] == ['B', 'C', 'a']
    x, _, names = load_folder(tmp_path)
    assert names == ('B', 'C', 'a')
    np.testing.assert_allclose(x[:, 0, 0, 0] * 255, [100, 200, 0], rtol=1e-6)


def test_pictures_of_other_kinds_are_skipped_with_a_warning(tmp_path):
    make_folder(tmp_path)
    (tmp_path / 'dog' / 'IMG_1.HEIC').write_bytes(b'')
    with pytest.warns(DataWarning, match='skipped 1 pictures .* such as IMG_1.HEIC; export them as JPEG') as caught:
        assert len(load_folder(tmp_path)[0]) == 4
    assert caught[0].filename == __file__


def test_what_cannot_be_read_is_left_out_and_counted(tmp_path):
    make_folder(tmp_path)
    for name in 'wxyz':
        (tmp_path / 'cat' / f'{name}.jpg').write_bytes(b'')
    with pytest.warns(
        DataWarning, match=r'left out 4 of 8 pictures.*: cat/w.jpg, cat/x.jpg, cat/y.jpg, \.\.\.'
    ) as caught:
        x, labels, _ = load_folder(tmp_path, on_error='skip')
    assert caught[0].filename == __file__
    assert labels.tolist() == [0, 0, 1, 1]
    np.testing.assert_allclose(x[:, 0, 0, 0] * 255, [0, 1, 100, 101], rtol=1e-6)
    for path in (tmp_path / 'cat').glob('[01].*'):
        path.unlink()
    with pytest.raises(DataError, match='cat: none of its images can be read, such as w.jpg: .*expected a PNG'):
        load_folder(tmp_path, on_error='skip')
    with pytest.raises(ValueError, match="on_error: expected 'raise' or 'skip', got 'ignore'"):
        load_folder(tmp_path, on_error='ignore')


def test_classes_one_folder_deeper_are_pointed_at(tmp_path):
    make_folder(tmp_path / 'animals')
    with pytest.raises(DataError, match=r'got 1; the classes seem to be one folder deeper: load .*animals$'):
        load_folder(tmp_path)
    with pytest.raises(DataError, match='got 0; move its pictures into a folder for each class'):
        load_folder(tmp_path / 'animals' / 'cat')


@pytest.mark.parametrize(
    ('outer', 'inner'), [(('cat', 'dog'), ('testing', 'training')), (('test', 'train'), ('a', 'b'))]
)
def test_pictures_one_folder_deeper_are_pointed_at(tmp_path, outer, inner):
    for name in outer:
        make_folder(tmp_path / name, inner)
    folder, deeper = tmp_path / outer[0], inner[0]
    with pytest.raises(DataError, match='got none; there are some one folder deeper, in ') as caught:
        load_folder(tmp_path)
    assert str(caught.value).endswith(
        f'if {deeper} is a class, load {folder}; if {folder.name} is one, move them up into {folder}'
    )
