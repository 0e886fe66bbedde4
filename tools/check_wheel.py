"""Hold a wheel to what it is to contain.

    python tools/check_wheel.py WHEEL...

A wheel of platform-independent name must hold no compiled kernels, every other one all of them, each with its stub.
Prints a line a wheel; ends with status 1 and what is wrong where something is.
"""

import re
import sys
import zipfile
from email import message_from_bytes
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[1]
LARGEST = 6_000_000
NEEDED = (
    'cnnx/py.typed',
    'cnnx/callbacks/run_page/page.css',
    'cnnx/callbacks/run_page/page.js',
    'cnnx/data/mnist_subset/ATTRIBUTION.md',
    'cnnx/export/html/page.css',
    'cnnx/export/html/page.js',
    'cnnx/export/html/template.html',
    'cnnx/data/mnist_subset/train-images-idx3-ubyte.gz',
    'cnnx/data/pretrained/lenet5-mnist.npz',
    '{info}/licenses/LICENSE',
    '{info}/licenses/cnnx/data/mnist_subset/ATTRIBUTION.md',
)
COMPILED = ('.so', '.pyd')
# Of what a wheel holds, by suffix; libraries that a repair has put in stand in a folder of their own.
SUFFIXES = {'.py', '.pyi', '.typed', '.md', '.gz', '.npz', '.html', '.css', '.js', *COMPILED}
COMPILED_ONCE = {'_cython', 'array_table', 'cpu', 'program'}
TIERS = {'v2', 'v3', 'v4'}


def kernels(root):
    """Return the names of the kernels that are compiled for each tier."""
    return {path.stem for path in (root / 'cnnx' / '_ext').glob('*.pyx')} - COMPILED_ONCE


def expected_modules(tags, root):
    """Return which modules are compiled in a wheel of these tags, such as `v3.dense`, less `cnnx._ext.`."""
    if tags.endswith('-none-any'):
        return set()
    tiers = TIERS if tags.endswith('x86_64') else {'portable'}
    return COMPILED_ONCE | {f'{tier}.{kernel}' for tier in tiers for kernel in kernels(root)}


def difference(what, found, expected):
    """Yield what two sets have and the other has not, in words."""
    if missing := sorted(expected - found):
        yield f'{what}: {", ".join(missing)} missing'
    if extra := sorted(found - expected):
        yield f'{what}: {", ".join(extra)} too much'


def modules(names, suffixes):
    """Return the modules of cnnx._ext that files of these suffixes belong to, such as `v3.dense`."""
    paths = [PurePosixPath(name) for name in names if name.startswith('cnnx/_ext/')]
    inner = [path.relative_to('cnnx/_ext') for path in paths if path.suffix in suffixes]
    return {'.'.join((*path.parts[:-1], path.name.split('.')[0])) for path in inner}


def python_files(root):
    return {path.relative_to(root).as_posix() for path in (root / 'cnnx').rglob('*.py')}


def complaints(path, root=ROOT):
    """Yield what is wrong with a wheel."""
    version = re.search(r"'(.+)'", (root / 'cnnx' / '_version.py').read_text())[1]
    info = f'cnnx-{version}.dist-info'
    tags = path.stem.removeprefix(f'cnnx-{version}-')
    if path.stat().st_size > LARGEST:
        yield f'{path.stat().st_size:,} bytes, more than {LARGEST:,}'
    with zipfile.ZipFile(path) as wheel:
        names = {name for name in wheel.namelist() if not name.endswith('/')}
        ours = {name for name in names if not name.startswith((f'{info}/', 'cnnx.libs/', 'cnnx/.dylibs/'))}
        needed = {name.format(info=info) for name in NEEDED}
        yield from difference('files', needed & names, needed)
        yield from difference('Python files', {name for name in ours if name.endswith('.py')}, python_files(root))
        if strange := sorted(name for name in ours if PurePosixPath(name).suffix not in SUFFIXES):
            yield f'no place in a wheel: {", ".join(strange)}'
        if outside := sorted(name for name in ours if not name.startswith('cnnx/')):
            yield f'outside the package: {", ".join(outside)}'
        expected = expected_modules(tags, root)
        yield from difference('compiled modules', modules(ours, COMPILED), expected)
        yield from difference('stubs', modules(ours, {'.pyi'}), expected - {'_cython'})
        about = message_from_bytes(wheel.read(f'{info}/WHEEL'))
        if about['Root-Is-Purelib'] != ('true' if not expected else 'false'):
            yield f'Root-Is-Purelib is {about["Root-Is-Purelib"]}'
        if message_from_bytes(wheel.read(f'{info}/METADATA'))['Version'] != version:
            yield f'the version is not {version}'


def main(paths):
    wrong = False
    for path in map(Path, paths):
        found = list(complaints(path))
        wrong = wrong or bool(found)
        print(f'{path.name}: {path.stat().st_size:,} bytes, {"; ".join(found) or "as it should be"}')
    if wrong or not paths:
        sys.exit(1)


if __name__ == '__main__':
    main(sys.argv[1:])
