"""Data sets in MNIST's format: Fashion-MNIST, KMNIST and the six of EMNIST.

Sources. Names, sizes and checksums of files: TensorFlow Datasets (tensorflow_datasets/url_checksums/fashion_mnist.txt,
kmnist.txt, emnist.txt). Addresses and classes: torchvision (torchvision/datasets/mnist.py). Numbers of images of
EMNIST: Cohen, Afshar, Tapson and van Schaik, "EMNIST: an extension of MNIST to handwritten letters", 2017; the
published file of `letters` differs, and holds 124,800 and 20,800 images.
"""

import hashlib
import os
import string
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cnnx.data.downloads import find_in_cache
from cnnx.data.idx import DataError, find_idx, read_idx, read_idx_from
from cnnx.data.mnist import one_hot, pixels, preprocess_mnist_data

DIGITS = tuple(string.digits)
MERGED = tuple(string.digits + string.ascii_uppercase + 'abdefghnqrt')


@dataclass(frozen=True)
class IdxFiles:
    """A data set in four IDX files with the names and shapes of those of MNIST.

    Attributes:
        title: the name of the data set, for messages.
        classes: the names of the classes, in the order of their labels.
        mirrors: addresses that the names of the files are appended to.
        files: name -> (size, sha256, shape), of training images, training labels, test images, test labels.
    """

    title: str
    classes: tuple
    mirrors: tuple
    files: dict

    def read(self, name, folder):
        """Return (images, labels, test images, test labels) from the files in a folder, or in the cache for None."""
        if folder is None:
            paths = find_in_cache(name, self.files, self.mirrors, f'the {len(self.files)} files of {self.title}')
        else:
            paths = find_idx(folder, self.files, self.title, plain=False)
            for path, (_, sha256, _) in zip(paths, self.files.values(), strict=True):
                _check_sha256(path, sha256, self.title)
        return [read_idx(path, shape) for path, (*_, shape) in zip(paths, self.files.values(), strict=True)]


@dataclass(frozen=True)
class EmnistSplit:
    """One of the six data sets in EMNIST's single archive, which is read without being unpacked.

    Attributes:
        title: the name of the data set, for messages.
        classes: the names of the classes, in the order of their labels.
        split: the name of the data set in the archive.
        counts: the numbers of training and of test images.
        first_label: the label of the first class.
    """

    title: str
    classes: tuple
    split: str
    counts: tuple
    first_label: int = 0

    def read(self, name, folder):
        """Return what `IdxFiles.read` returns, from the archive, or from files that were unpacked from it."""
        archive = self._archive(folder)
        if archive is not None:
            arrays = self._read_archive(archive)
        else:
            members, shapes = zip(*self._members(), strict=True)
            inside = folder / 'gzip' if (folder / 'gzip').is_dir() else folder
            paths = find_idx(inside, members, self.title)
            arrays = [read_idx(path, shape) for path, shape in zip(paths, shapes, strict=True)]
        images, labels, test_images, test_labels = arrays
        first = self.first_label
        # The images in the files are transposed.
        return images.transpose(0, 2, 1), labels - first, test_images.transpose(0, 2, 1), test_labels - first

    def _archive(self, folder):
        if folder is None:
            return find_in_cache('emnist', EMNIST_ARCHIVE, EMNIST_MIRRORS, "EMNIST's gzip.zip")[0]
        ((name, (_, sha256)),) = EMNIST_ARCHIVE.items()
        for path in (folder / name, folder / f'emnist-{name}'):
            if path.is_file():
                _check_sha256(path, sha256, 'EMNIST')
                return path
        return None

    def _members(self):
        """Yield (name, shape) of the four files."""
        for kind, count in zip(('train', 'test'), self.counts, strict=True):
            yield f'emnist-{self.split}-{kind}-images-idx3-ubyte.gz', (count, 28, 28)
            yield f'emnist-{self.split}-{kind}-labels-idx1-ubyte.gz', (count,)

    def _read_archive(self, archive):
        arrays = []
        try:
            with zipfile.ZipFile(archive) as file:
                for member, shape in self._members():
                    info = file.getinfo(f'gzip/{member}')
                    with file.open(info) as raw:
                        arrays.append(read_idx_from(raw, f'{archive}: {member}', info.file_size, shape))
        except (KeyError, zipfile.BadZipFile) as error:
            raise DataError(f'{archive}: not the archive of EMNIST ({error}); download it again') from error
        return arrays


def _four_files(*sizes_and_sums):
    shapes = (60_000, 28, 28), (60_000,), (10_000, 28, 28), (10_000,)
    names = [
        f'{kind}-{what}' for kind in ('train', 't10k') for what in ('images-idx3-ubyte.gz', 'labels-idx1-ubyte.gz')
    ]
    return {name: (*known, shape) for name, known, shape in zip(names, sizes_and_sums, shapes, strict=True)}


EMNIST_MIRRORS = ('https://biometrics.nist.gov/cs_links/EMNIST/',)
EMNIST_ARCHIVE = {
    'gzip.zip': (561_753_746, 'fb9bb67e33772a9cc0b895e4ecf36d2cf35be8b709693c3564cea2a019fcda8e'),
}
DATASETS = {
    'fashion': IdxFiles(
        'Fashion-MNIST',
        (
            *('T-shirt/top', 'Trouser', 'Pullover', 'Dress', 'Coat'),
            *('Sandal', 'Shirt', 'Sneaker', 'Bag', 'Ankle boot'),
        ),
        (
            'http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/',
            'https://storage.googleapis.com/tensorflow/tf-keras-datasets/',
        ),
        _four_files(
            (26_421_880, '3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84'),
            (29_515, 'a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845'),
            (4_422_102, '346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073'),
            (5_148, '67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5'),
        ),
    ),
    'kmnist': IdxFiles(
        'KMNIST',
        ('o', 'ki', 'su', 'tsu', 'na', 'ha', 'ma', 'ya', 're', 'wo'),
        ('http://codh.rois.ac.jp/kmnist/dataset/kmnist/',),
        _four_files(
            (18_165_135, '51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4'),
            (29_497, 'e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17'),
            (3_041_136, 'edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5'),
            (5_120, '20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c'),
        ),
    ),
    'emnist-balanced': EmnistSplit('EMNIST balanced', MERGED, 'balanced', (112_800, 18_800)),
    'emnist-letters': EmnistSplit(
        'EMNIST letters', tuple(string.ascii_uppercase), 'letters', (124_800, 20_800), first_label=1
    ),
    'emnist-digits': EmnistSplit('EMNIST digits', DIGITS, 'digits', (240_000, 40_000)),
    'emnist-mnist': EmnistSplit('EMNIST MNIST', DIGITS, 'mnist', (60_000, 10_000)),
    'emnist-byclass': EmnistSplit(
        'EMNIST by class',
        tuple(string.digits + string.ascii_uppercase + string.ascii_lowercase),
        'byclass',
        (697_932, 116_323),
    ),
    'emnist-bymerge': EmnistSplit('EMNIST by merge', MERGED, 'bymerge', (697_932, 116_323)),
}
NAMES = ('mnist', *DATASETS)


def load_dataset(name, data_dir=None):
    """Load a data set in MNIST's format for training: pixels from 0 to 1, labels one-hot.

    Args:
        name: 'mnist', 'fashion', 'kmnist', 'emnist-balanced', 'emnist-letters', 'emnist-digits', 'emnist-mnist',
            'emnist-byclass' or 'emnist-bymerge'.
        data_dir: a folder with the files as they are published. None takes the folder in the environment variable
            CNNX_DATA_DIR, or else the user's cache, and downloads the files into it if needed. For all but MNIST, a
            folder inside of data_dir with the name of the data set ('emnist' for its six) is searched first. The files
            of MNIST may be decompressed; those of EMNIST are its archive gzip.zip, or the files in it, compressed or
            not.

    Returns:
        ((x_train, y_train), (x_test, y_test)): x (N, 28, 28, 1) float32 in [0, 1], y (N, classes) float32.

    Raises:
        DataError: a file is missing or damaged, or cannot be downloaded.
        ValueError: no data set has that name.
    """
    _check_name(name)
    if name == 'mnist':
        return preprocess_mnist_data(full=True, data_dir=data_dir)
    dataset = DATASETS[name]
    arrays = dataset.read(name, _folder(name, data_dir))
    x_train, y_train, x_test, y_test = arrays
    for images, labels in ((x_train, y_train), (x_test, y_test)):
        if images.dtype != np.uint8 or labels.dtype != np.uint8 or labels.max(initial=0) >= len(dataset.classes):
            raise DataError(
                f'{dataset.title}: expected pixels as bytes and labels of {len(dataset.classes)} classes, '
                f'got {images.dtype} and labels up to {labels.max(initial=0)} ({labels.dtype}); '
                'download its files again'
            )
    classes = len(dataset.classes)
    return (pixels(x_train), one_hot(y_train, classes)), (pixels(x_test), one_hot(y_test, classes))


def class_names(name):
    """Return the names of the classes of a data set, in the order of their labels.

    Raises:
        ValueError: no data set has that name.
    """
    _check_name(name)
    return DIGITS if name == 'mnist' else DATASETS[name].classes


def _check_name(name):
    if name not in NAMES:
        raise ValueError(f'dataset: expected one of {", ".join(NAMES)}, got {name!r}')


def _folder(name, data_dir):
    """Return the folder to search for the files of a data set, or None for the cache."""
    folder = os.environ.get('CNNX_DATA_DIR') if data_dir is None else data_dir
    if not folder:
        return None
    inside = Path(folder) / name.split('-')[0]
    return inside if inside.is_dir() else Path(folder)


def _check_sha256(path, sha256, title):
    with open(path, 'rb') as file:
        found = hashlib.file_digest(file, 'sha256').hexdigest()
    if found != sha256:
        raise DataError(
            f'{path}: not the file of that name of {title}: its sha256 is {found}; '
            'download it again, and keep each data set in a folder of its own'
        )
