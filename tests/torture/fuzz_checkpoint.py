"""Fuzz the reader of weights, networks and checkpoints: `python tests/torture/fuzz_checkpoint.py --seconds 600`.

Needs cnnx[fuzz]. Files carry a checksum, which random changes never get past, so most changes are made
inside a file, to what its members say, and the file is sealed again.
"""

import hashlib
import io
import json
import random
import tempfile
import zipfile
from pathlib import Path

import atheris
import fuzzing
import numpy as np

with atheris.instrument_imports(include=['cnnx.checkpoint', 'cnnx.network', 'numpy.lib']):
    import cnnx
    from cnnx import checkpoint

LARGEST = 1 << 15
SEAL = b'cnnx sha256 '
DIGITS = 64
# What a header, or a description, is led astray with.
TEXTS = (
    *(b'0', b'-1', b'1', b'3', b'255', b'65536', b'2147483647', b'4294967296', b'9223372036854775807'),
    *(b'18446744073709551616', b'1e400', b'NaN', b'null', b'true', b'""', b'[]', b'{}', b'"a"', b'[[]]', b'1' * 5000),
    *(b'()', b'(1,)', b'(-1,)', b'(0, 9223372036854775807)', b'(4294967296, 4294967296)', b'True', b'None'),
    *(b"'<f4'", b"'>f8'", b"'<f2'", b"'|O'", b"'<U9'", b"'|V0'", b"'<M8[s]'", b"'<c16'", b"'i4,f4'", b"[('a', '<f4')]"),
    *(b'[' * 3000, b'(' * 300, b'{"a":' * 500, b'-' * 3000),
)
VALUES = (
    *(None, True, False, 0, -1, 1, 2, 3, 255, 2**31 - 1, 2**31, 2**63, 2**64, 10**30, 1e308, 0.5, -0.5),
    *('', 'a', 'same', 'valid', 'Dense', 'ReLU', 'Softmax', 'float64', 'int8', 'object', 'PCG64', 'MT19937', 'zeros'),
    *([], [0], [1, 1], [2**31 - 1] * 3, [[1]], {}, {'name': 'normal', 'standard_deviation': -1}, {'kind': 'SGD'}),
)


def seeds():
    """Files of weights, of networks and of a training run."""
    network = cnnx.Network(seed=0)
    network.add(cnnx.Convolutional(2, 3, input_shape=(6, 6, 1)))
    for layer in (cnnx.ReLU(), cnnx.MaxPooling(2), cnnx.Flatten(), cnnx.Dense(output_size=3), cnnx.Softmax()):
        network.add(layer)
    network.compile(cnnx.CategoricalCrossEntropy(), cnnx.SGD(momentum=0.9))
    other = cnnx.Network(seed=1, dtype='float64')
    other.add(cnnx.Dense(2, 3))
    other.add(cnnx.Sigmoid())
    other.add(cnnx.Dense(output_size=1))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        network.save_weights(folder / 'weights.npz')
        network.save(folder / 'network.npz')
        other.save(folder / 'other.npz')
        network.train(np.ones((4, 6, 6, 1)), [0, 1, 2, 0], epochs=1, checkpoint_dir=folder / 'run', verbose=0)
        return [path.read_bytes() for path in sorted(folder.rglob('*.npz'))]


def check(path):
    """Read a file in every way; the rest is taken as it comes, and only CheckpointError may come."""
    for use in (checkpoint.read, cnnx.Network.load, lambda path: SMALL.load_weights(path)):
        before = SMALL.layers[0].weights.tobytes()
        try:
            use(path)
        except cnnx.CheckpointError as error:
            assert str(path) in str(error)
            assert SMALL.layers[0].weights.tobytes() == before


SMALL = cnnx.Network(seed=1, dtype='float64')
SMALL.add(cnnx.Dense(2, 3))
SMALL.add(cnnx.Sigmoid())
SMALL.add(cnnx.Dense(output_size=1))


def mutate(data, largest, seed):
    """Change what members of a zip file say, or the file around them, and mend the checksum."""
    rng = random.Random(seed)
    how = rng.random()
    if how < 0.2:
        return None
    if how < 0.4:
        return sealed(atheris.Mutate(data, largest))
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
            comment = archive.comment
    except Exception:
        return None
    if not members:
        return None
    name = rng.choice(list(members))
    change = rng.choice((change_description, change_header, change_text, change_bytes, change_names))
    if change is change_names:
        change_names(members, name, rng)
    else:
        if change is change_description:
            name = 'description.npy' if 'description.npy' in members else name
        members[name] = change(members[name], rng)
    return sealed(packed(members, comment, rng))


def change_bytes(data, rng):
    return atheris.Mutate(data, len(data) + 64)


def change_text(data, rng):
    """Put a text somewhere."""
    at = rng.randrange(len(data) + 1)
    return data[:at] + rng.choice(TEXTS) + data[at + rng.randrange(8) :]


def change_header(data, rng):
    """Change the shape, the dtype or the order in the header of an array, and leave its length right."""
    end = data.find(b'\n') + 1
    if data[:6] != b'\x93NUMPY' or not end:
        return change_text(data, rng)
    header = data[10:end]
    mark = rng.choice((b"'shape': ", b"'descr': ", b"'fortran_order': "))
    at = header.find(mark) + len(mark)
    until = header.find({b"'shape': ": b')', b"'descr': ": b',', b"'fortran_order': ": b','}[mark], at)
    text = rng.choice(TEXTS)
    header = header[:at] + text + header[until + (mark == b"'shape': ") :]
    return data[:8] + len(header).to_bytes(2, 'little') + header + data[end:]


def change_description(data, rng):
    """Change a value somewhere in the description."""
    try:
        description = json.loads(np.load(io.BytesIO(data)).tobytes())
    except Exception:
        return change_text(data, rng)
    places = list(places_in(description))
    if not places:
        return data
    holder, key = rng.choice(places)
    if rng.random() < 0.2:
        del holder[key]
    else:
        holder[key] = rng.choice([*VALUES, *(other[k] for other, k in places)])
    file = io.BytesIO()
    try:
        np.save(file, np.frombuffer(json.dumps(description).encode(), np.uint8))
    except (RecursionError, ValueError):  # it holds itself, or a surrogate
        return data
    return file.getvalue()


def places_in(value):
    """Yield (holder, key) of every value inside a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in list(items):
        yield value, key
        yield from places_in(inner)


def change_names(members, name, rng):
    """Take a member away, give it another name, or give another's content to it."""
    kind = rng.randrange(3)
    if kind == 2:
        members[name] = members[rng.choice(list(members))]
        return
    content = members.pop(name)
    if kind:
        members[rng.choice(('description.npy', 'weights_0.npy', 'bias_0', 'file', 'weights_9.npy', '../a.npy', ''))] = (
            content
        )


def packed(members, comment, rng):
    file = io.BytesIO()
    with zipfile.ZipFile(file, 'w', rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive:
        archive.comment = comment
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return file.getvalue()


def sealed(data):
    """Return a file with its checksum mended, where it has one."""
    end = len(data) - DIGITS
    if data[end - len(SEAL) : end] != SEAL:
        return data
    return data[:end] + hashlib.sha256(data[:end]).hexdigest().encode()


if __name__ == '__main__':
    fuzzing.main('fuzz_checkpoint', seeds, check, mutate, LARGEST)
