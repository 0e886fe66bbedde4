"""MNIST: reading, checking and preprocessing its files.

The first 5,000 training and 1,000 test images come with the package, made by tools/make_mnist_subset.py. All 70,000
are read from a folder, or downloaded once into the user's cache.
"""

import hashlib
import os
from pathlib import Path

import numpy as np

from cnnx.data.downloads import find_in_cache
from cnnx.data.idx import DataError, find_idx, read_idx

SUBSET = Path(__file__).parent / 'mnist_subset'
CLASSES = 10
MIRRORS = (
    'https://ossci-datasets.s3.amazonaws.com/mnist/',
    'https://storage.googleapis.com/cvdf-datasets/mnist/',
)

# Of each file: size and sha256 as it is downloaded; shape and sha256 of the decompressed contents.
FILES = {
    'train-images-idx3-ubyte.gz': (
        9_912_422,
        '440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609',
        (60_000, 28, 28),
        'ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db',
    ),
    'train-labels-idx1-ubyte.gz': (
        28_881,
        '3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c',
        (60_000,),
        '65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5',
    ),
    't10k-images-idx3-ubyte.gz': (
        1_648_877,
        '8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6',
        (10_000, 28, 28),
        '0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7',
    ),
    't10k-labels-idx1-ubyte.gz': (
        4_542,
        'f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6',
        (10_000,),
        'ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2',
    ),
}


def preprocess_mnist_data(full=False, data_dir=None):
    """Load MNIST for training: pixels from 0 to 1, labels one-hot.

    Args:
        full: False takes the 5,000 training and 1,000 test images that come with the package. True takes all 60,000
            and 10,000: from data_dir if it is given, else from the folder in the environment variable CNNX_DATA_DIR,
            else from the user's cache, into which they are downloaded if needed.
        data_dir: a folder with the four files of MNIST, compressed with gzip or plain. Names such as
            train-images.idx3-ubyte will do, and so do files one or two folders deeper.

    Returns:
        ((x_train, y_train), (x_test, y_test)): x (N, 28, 28, 1) float32 in [0, 1], y (N, 10) float32.

    Raises:
        DataError: a file is missing or damaged, or cannot be downloaded.
        TypeError: full is a path.
        ValueError: data_dir is given without full.
    """
    if isinstance(full, (str, os.PathLike)):
        raise TypeError(f'full: expected True or False, got {full!r}; a folder is the data_dir, with full=True')
    if not full and data_dir is not None:
        raise ValueError('data_dir: needs full=True; the subset comes with the package')
    arrays = _read_full(data_dir) if full else [read_idx(SUBSET / name) for name in FILES]
    x_train, y_train, x_test, y_test = arrays
    return (pixels(x_train), one_hot(y_train, CLASSES)), (pixels(x_test), one_hot(y_test, CLASSES))


def pixels(images):
    """Convert images (N, H, W) uint8 to (N, H, W, 1) float32 in [0, 1]."""
    found = images[..., np.newaxis].astype(np.float32, order='C')
    found /= 255
    return found


def one_hot(labels, classes):
    """Convert labels (N,) to one-hot rows (N, classes) float32."""
    return np.eye(classes, dtype=np.float32)[labels]


def _read_full(data_dir):
    folder = os.environ.get('CNNX_DATA_DIR') if data_dir is None else data_dir
    if folder:
        paths = find_idx(Path(folder), FILES, 'MNIST')
    else:
        paths = find_in_cache('mnist', FILES, MIRRORS, 'the four files of MNIST')
    return [_read_checked(path, *content) for path, (_, _, *content) in zip(paths, FILES.values(), strict=True)]


def _read_checked(path, shape, sha256):
    """Read a file, and check the shape and then the checksum of its contents."""
    array = read_idx(path, shape)
    head = bytes((0, 0, 0x08, array.ndim)) + b''.join(size.to_bytes(4, 'big') for size in array.shape)
    if array.dtype != np.uint8 or _sha256(head, array) != sha256:
        raise DataError(f'{path}: not the MNIST file of that name; download it again')
    return array


def _sha256(*parts):
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()
