"""Folders of pictures: a folder that has a folder for each class, as arrays of images and labels."""

import warnings
from pathlib import Path

import numpy as np

from cnnx.data.idx import DataError, DataWarning
from cnnx.data.images import checked_size, read_image, scaled

SUFFIXES = ('.png', '.jpg', '.jpeg', '.bmp', '.webp', '.tif', '.tiff')
UNREAD = ('.heic', '.heif', '.avif', '.gif')  # pictures of other kinds
NAMED = 3  # pictures in a warning


def load_folder(folder, size=(28, 28), channels=1, prepare=None, *, shuffle=False, seed=0, on_error='raise'):
    """Load pictures from a folder that has a folder for each class: FOLDER/CLASS/*.png.

    Classes are numbered by the order of their names: digits, capital letters, small letters. Pictures are files that
    `read_image` reads, known by their suffix, .png, .jpg, .jpeg, .bmp, .webp, .tif or .tiff. Other files, and names
    that begin with a dot or with two underscores, are skipped; of pictures of other kinds, such as .heic, a warning
    says so.

    Args:
        folder: the folder that holds the folders of the classes.
        size: (height, width) that images are scaled to, without keeping their aspect ratio; a number for both.
        channels: 1 for grey, 3 for red, green and blue.
        prepare: a function that takes a path and returns an image (height, width, channels); it is called for each
            file instead of `read_image`. Whole numbers are divided by the largest of their type.
        shuffle: False returns images class by class, each class sorted by file name; True in a random order.
        seed: of that order.
        on_error: 'raise' ends with the first picture that cannot be read; 'skip' leaves such pictures out, and warns
            at the end how many there are.

    Returns:
        (x, labels, names): x (N, height, width, channels) float32 in [0, 1]; labels (N,) int; the names of the classes.

    Raises:
        DataError: there are fewer than two classes, one has no images, or an image cannot be read.
        ImportError, OSError, ValueError: see `read_image`; what `prepare` returns is no such image.
    """
    if on_error not in ('raise', 'skip'):
        raise ValueError(f"on_error: expected 'raise' or 'skip', got {on_error!r}")
    folder, (height, width) = Path(folder), checked_size(size)
    classes = class_folders(folder)
    if len(classes) < 2:
        raise DataError(_too_few_classes(folder, classes))
    unread = [path for inside in classes for path in inside.iterdir() if path.suffix.lower() in UNREAD]
    if unread:
        message = f'skipped {len(unread):,} pictures of a kind that is not read, such as {unread[0].name}'
        warnings.warn(f'{folder}: {message}; export them as JPEG', DataWarning, stacklevel=2)
    files = [(path, label) for label, inside in enumerate(classes) for path in _pictures_of_class(inside)]
    if shuffle:
        files = [files[i] for i in np.random.default_rng(seed).permutation(len(files))]
    x, labels, unreadable = np.empty((len(files), height, width, channels), np.float32), [], []
    for path, label in files:
        try:
            image = read_image(path, size, channels) if prepare is None else scaled(prepare(path), path)
        except (DataError, OSError) as error:
            if on_error == 'skip':
                unreadable.append((path, label, error))
                continue
            if isinstance(error, DataError):
                raise DataError(f"{error}; on_error='skip' leaves out what cannot be read") from error
            raise
        if image.shape != x.shape[1:]:
            raise ValueError(f'{path}: expected an image of shape {x.shape[1:]} from prepare, got {image.shape}')
        x[len(labels)] = image
        labels.append(label)
    if unreadable:
        _report_unreadable(folder, unreadable, labels, classes)
    return x[: len(labels)], np.array(labels), tuple(path.name for path in classes)


def class_folders(folder):
    """Return the folders of the classes inside a folder, in the order of their labels: by name, on every system."""
    inside = (path for path in Path(folder).iterdir() if path.is_dir() and not path.name.startswith(('.', '__')))
    return sorted(inside, key=_name)


def _name(path):
    return path.name  # paths themselves are compared in small letters on Windows


def _pictures_in(folder):
    return sorted(
        (
            path
            for path in folder.iterdir()
            if path.suffix.lower() in SUFFIXES and not path.name.startswith('.') and path.is_file()
        ),
        key=_name,
    )


def _pictures_of_class(folder):
    found = _pictures_in(folder)
    if found:
        return found
    message = f'{folder}: expected images of this class, ending in {", ".join(SUFFIXES)}, got none'
    deeper = next((path for path in class_folders(folder) if _pictures_in(path)), None)
    if deeper is not None:
        message += (
            f'; there are some one folder deeper, in {deeper}: if {deeper.name} is a class, load {folder}; '
            f'if {folder.name} is one, move them up into {folder}'
        )
    raise DataError(message)


def _too_few_classes(folder, classes):
    """Return the message about a folder with fewer than two folders of classes."""
    message = f'{folder}: expected a folder for each of two classes or more, with pictures, got {len(classes)}'
    if classes and len(class_folders(classes[0])) > 1:
        return f'{message}; the classes seem to be one folder deeper: load {classes[0]}'
    if not classes and _pictures_in(folder):
        return f'{message}; move its pictures into a folder for each class'
    return message


def _report_unreadable(folder, unreadable, labels, classes):
    """Warn of pictures that were left out; raise a DataError if a class has no others."""
    left = set(labels)
    for path, label, error in unreadable:
        if label not in left:
            raise DataError(f'{classes[label]}: none of its images can be read, such as {path.name}: {error}')
    named = ', '.join(f'{path.parent.name}/{path.name}' for path, *_ in unreadable[:NAMED])
    more = ', ...' if len(unreadable) > NAMED else ''
    warnings.warn(
        f'{folder}: left out {len(unreadable):,} of {len(unreadable) + len(labels):,} pictures, which cannot be read: '
        f'{named}{more}',
        DataWarning,
        stacklevel=3,
    )
