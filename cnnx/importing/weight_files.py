"""Files of weights: .safetensors, Keras's .h5, and .npz, as arrays by name. Nothing in a file is executed."""

import io
import math
import os
import re
import stat
import struct

import numpy as np

from cnnx.checkpoint import CheckpointError
from cnnx.checkpoint.files import LARGEST_RATIO, SMALL
from cnnx.checkpoint.files import read as read_npz

# Bytes of a file, objects in it, and groups within groups.
LARGEST = 2**31
MOST_OBJECTS = 10_000
DEEPEST = 32
HDF5 = ('.h5', '.hdf5')
# Messages of objects of HDF5: numbers in other files, an attribute, and where others are in a heap; and no address.
EXTERNAL_FILES, ATTRIBUTE, ATTRIBUTE_HEAP = 7, 12, 21
NOWHERE = 2**64 - 1
# The dtypes of safetensors that are read.
DTYPES = {'F16': '<f2', 'F32': '<f4', 'F64': '<f8', 'I8': 'i1', 'I16': '<i2', 'I32': '<i4', 'I64': '<i8', 'U8': 'u1'}


def ending(path):
    """Return how the name of a file ends, in small letters."""
    return os.path.splitext(str(path))[1].lower()


def read(path):
    """Return the arrays of a file by name, in the order of the file where it has one.

    Raises:
        CheckpointError: it is damaged, or of another kind.
        ImportError: the package that reads it is not installed.
        OSError: there is no such file, or it cannot be opened.
    """
    if ending(path) == '.safetensors':
        return _in_natural_order(_read_safetensors(path))
    if ending(path) in HDF5:
        return _read_hdf5(path)
    return read_npz(path)[0]


def _content(path):
    if not stat.S_ISREG(os.stat(os.fspath(path)).st_mode):
        raise CheckpointError(f'{path}: not a file')
    if os.path.getsize(path) > LARGEST:
        raise CheckpointError(f'{path}: expected at most {LARGEST:,} bytes, got {os.path.getsize(path):,}')
    with open(path, 'rb') as stream:
        return stream.read()


def _in_natural_order(arrays):
    """Return arrays sorted by name, 2 before 10."""
    return dict(sorted(arrays.items(), key=lambda item: natural(item[0])))


def natural(name):
    """Return what sorts names by the numbers in them."""
    return [(int(part), '') if part.isdecimal() and len(part) < 19 else (-1, part) for part in re.split(r'(\d+)', name)]


def _read_safetensors(path):
    try:
        import safetensors
    except ImportError as error:
        message = f'.safetensors files need the package safetensors: pip install "cnnx[safetensors]" ({error})'
        raise ImportError(message) from None
    content = _content(path)
    try:
        tensors = safetensors.deserialize(content)
    except (safetensors.SafetensorError, ValueError, TypeError) as error:
        raise CheckpointError(f'{path}: damaged, or no file of safetensors ({error})') from error
    return {name: _tensor(path, name, tensor) for name, tensor in tensors}


def _tensor(path, name, tensor):
    if tensor['dtype'] == 'BF16':  # the first half of a float32
        numbers = (np.frombuffer(tensor['data'], '<u2').astype(np.uint32) << 16).view(np.float32)
    elif tensor['dtype'] in DTYPES:
        numbers = np.frombuffer(tensor['data'], DTYPES[tensor['dtype']])
    else:
        raise CheckpointError(f'{path}: {name} holds {tensor["dtype"]}; expected {", ".join([*DTYPES, "BF16"])}')
    return numbers.reshape(tensor['shape'])


def _read_hdf5(path):
    try:
        import pyfive
    except ImportError as error:
        message = f'Keras\'s .h5 files need the package pyfive: pip install "cnnx[keras]" ({error})'
        raise ImportError(message) from None
    content = _content(path)
    try:
        root = pyfive.File(io.BytesIO(content))
        weights = root.get('model_weights', root)
        found, places, limits = {}, {}, [MOST_OBJECTS, max(SMALL, LARGEST_RATIO * len(content))]
        for name in _layer_names(pyfive, weights, len(content)):
            _collect(pyfive, weights, name, name, found, places, limits, 0)
        return found if 'layer_names' in weights.attrs else _in_order_of_writing(found, places)
    except CheckpointError:
        raise
    except MemoryError as error:
        raise MemoryError(f'{path}: not enough memory for it') from error
    except Exception as error:  # a reader of damaged bytes raises anything, asserts among them
        raise CheckpointError(
            f'{path}: damaged, or no HDF5 file of weights ({error or type(error).__name__})'
        ) from error


def _layer_names(pyfive, group, size):
    """Return the names of what is in a group: in the order of the layers, where an older file has that."""
    _check_attributes(pyfive, group._dataobjects, size)
    if 'layer_names' not in group.attrs:
        return sorted(group, key=natural)
    names = [name.decode() if isinstance(name, bytes) else str(name) for name in group.attrs['layer_names']]
    return [name for name in names if name in group]


def _in_order_of_writing(arrays, places):
    """Return arrays in the order of their places in the file, that of the layers, unless the numbers in names deny it.

    By name, a nested model comes after the layers beside it, wherever it stands.
    """
    written, last = sorted(arrays, key=places.get), {}
    for name in written:
        alike = re.sub(r'_?\d+', '', name)
        if natural(name) < last.get(alike, []):
            return arrays
        last[alike] = natural(name)
    return {name: arrays[name] for name in written}


def _check_attributes(pyfive, about, size):
    """Raise a ValueError if attributes of an object take more memory than a file of that size accounts for."""
    for message in about.find_msg_type(ATTRIBUTE):
        offset = message['offset_to_message']
        version, _, *sizes = struct.unpack_from('<BBHHH', about.msg_data, offset)
        # After the header come the name and the type; version 1 fills each up to a multiple of 8 bytes.
        offset += sum(-(-part // 8) * 8 for part in (8, *sizes[:2])) if version == 1 else 9 + sum(sizes[:2])
        shape, _ = pyfive.dataobjects.determine_data_shape(about.msg_data, offset)
        if math.prod(shape or ()) > size:
            raise ValueError('an attribute announces more values than the size of the file accounts for')
    for message in about.find_msg_type(ATTRIBUTE_HEAP):
        offset = message['offset_to_message']
        (address,) = struct.unpack_from('<Q', about.msg_data, offset + (4 if about.msg_data[offset + 1] & 1 else 2))
        if address != NOWHERE:
            raise ValueError('attributes in a heap are not read')


def _collect(pyfive, group, key, name, found, places, limits, depth):
    """Add the arrays of an object of a group, and of those within, to `found`, their places in the file to `places`.

    Raises:
        ValueError: there is more than the limits allow.
    """
    limits[0] -= 1
    if limits[0] < 0 or depth > DEEPEST:
        raise ValueError(f'it has more than {MOST_OBJECTS:,} objects, or groups {DEEPEST} deep')
    if isinstance(group._links[key], str):
        raise ValueError(f'{name} is a link, which is not followed')
    about = pyfive.dataobjects.DataObjects(group.file._fh, group._links[key])
    if any(message['type'] == EXTERNAL_FILES for message in about.msgs):
        raise ValueError(f'{name} has its numbers in another file, which is not read')
    thing = group[key]
    if isinstance(thing, pyfive.Group):
        order = {weight: i for i, weight in enumerate(('kernel', 'gamma', 'bias', 'beta'))}
        inside = sorted(thing, key=lambda each: (order.get(each.partition(':')[0], 9), natural(each)))
        for each in inside:
            _collect(pyfive, thing, each, f'{name}/{each}', found, places, limits, depth + 1)
    elif isinstance(thing, pyfive.Dataset) and thing.dtype.kind == 'f':
        limits[1] -= math.prod(thing.shape) * thing.dtype.itemsize
        if limits[1] < 0:
            raise ValueError('it announces more numbers than its size accounts for')
        found[name] = np.asarray(thing[...])
        # pyfive has no public name for it.
        places[name] = getattr(group, '_links', {}).get(key, 0)
