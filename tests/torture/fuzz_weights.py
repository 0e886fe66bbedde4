"""Fuzz the readers of weights of others: `python tests/torture/fuzz_weights.py --seconds 600`.

Needs cnnx[fuzz,keras,safetensors].
"""

from pathlib import Path

import atheris
import fuzzing

with atheris.instrument_imports(include=['cnnx.importing', 'pyfive']):
    import pyfive  # noqa: F401

    import cnnx
    from cnnx.importing import weights  # noqa: F401
    from cnnx.importing.weight_files import read

FILES = Path(__file__).parents[1] / 'importing' / 'files'
LARGEST = 1 << 16
NET = cnnx.Network([cnnx.Dense(3, 2)])


def seeds():
    """Files that PyTorch and Keras wrote."""
    return [path.read_bytes() for path in sorted(FILES.iterdir()) if path.suffix in ('.h5', '.safetensors')]


def check(path):
    """Read bytes as HDF5 or as safetensors, by what they begin with; only CheckpointError may come."""
    content = path.read_bytes()
    target = path.with_suffix('.h5' if content[:4] == b'\x89HDF' else '.safetensors')
    target.write_bytes(content)
    for use in (read, lambda path: NET.load_weights(path, layout='keras')):
        try:
            use(target)
        except cnnx.CheckpointError as error:
            assert str(target) in str(error)


if __name__ == '__main__':
    fuzzing.main('fuzz_weights', seeds, check, lambda data, largest, seed: None, LARGEST)
