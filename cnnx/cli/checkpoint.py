"""`cnnx checkpoint`: verify files of weights, networks and training runs, or print how two of them differ."""

import os
import sys
from pathlib import Path

import numpy as np

from cnnx.checkpoint.errors import DAMAGE, CheckpointError
from cnnx.checkpoint.files import read
from cnnx.checkpoint.folder import checkpoints


def add_arguments(parser):
    actions = parser.add_subparsers(required=True, metavar='verify|diff')
    text = 'print what is in a file, or in the checkpoints of a folder; status 1 where one is damaged'
    action = actions.add_parser('verify', help=text, description=f'{text.capitalize()}.')
    action.add_argument('path', type=Path, metavar='FILE|FOLDER')
    action.set_defaults(action=lambda options: verify(options.path))
    text = 'print the differences between two files; status 1 where they differ'
    action = actions.add_parser('diff', help=text, description=f'{text.capitalize()}.')
    action.add_argument('a', type=Path, metavar='A')
    action.add_argument('b', type=Path, metavar='B')
    action.set_defaults(action=lambda options: diff(options.a, options.b))


def run(options):
    """Verify or compare; return the status."""
    return options.action(options)


def verify(path):
    """Print what is in a file, or in each checkpoint of a folder; return 1 if one of them is damaged."""
    if not path.is_dir():
        return _verify_file(path, in_full=True)
    found = checkpoints(path)
    if not found:
        print(f'{path}: no checkpoints', file=sys.stderr)
        return 2
    results = [_verify_file(file, in_full=False) for file in sorted(found, key=lambda file: (found[file], file.name))]
    bad, gone = results.count(1), results.count(None)
    print(f'{len(found) - gone} checkpoints, {bad} damaged')
    return int(bad > 0)


def diff(a, b):
    """Print how two files differ; return 1 if they do."""
    (arrays, description), (others, other_description) = read(a), read(b)
    lines = []
    for name in sorted({**arrays, **others}):
        lines += _compare_arrays(name, arrays.get(name), others.get(name))
    try:
        lines += _compare('', description, other_description)
    except RecursionError:
        lines.append('the descriptions are nested too deeply to compare')
    print('\n'.join(lines) if lines else 'the same')
    return int(bool(lines))


def _verify_file(path, in_full):
    """Print what is in a file; return 1 if it is damaged, None if one of a folder has been removed meanwhile."""
    try:
        arrays, description = read(path)
    except OSError as error:
        if in_full:
            raise
        return _bad(error) if os.path.lexists(path) else None
    except CheckpointError as error:
        return _bad(error)
    try:
        lines = _describe(path, arrays, description)
    except DAMAGE as error:
        return _bad(f'{path}: its description is not one that cnnx writes ({error})')
    print('\n'.join(lines if in_full else lines[:1]))
    return 0


def _bad(reason):
    print(f'BAD   {reason}')
    return 1


def _describe(path, arrays, description):
    """Return lines about a file that is not damaged, a summary first."""
    kind = 'a checkpoint' if 'run' in description else 'a network' if 'architecture' in description else 'weights'
    if kind == 'weights' and not any(name.startswith('weights_') for name in arrays):
        kind = 'no file of cnnx, but an .npz file of numbers'
    size = sum(array.nbytes for array in arrays.values())
    place = ''
    if 'epoch' in description:
        place = f' after epoch {description["epoch"]}'
        if 'within_epoch' in description:
            place += f' and {description["within_epoch"]["batch"]} batches'
    lines = [f'good  {path}: {kind}{place}, {len(arrays)} arrays, {size:,} bytes']
    for layer in description.get('architecture', {}).get('layers', ()):
        settings = ', '.join(f'{key}={value}' for key, value in layer.items() if key != 'kind')
        lines.append(f'  {layer["kind"]}({settings})')
    for key in ('loss', 'optimizer', 'settings', 'run', 'cnnx'):
        if key in description:
            lines.append(f'  {key}: {description[key]}')
    for key, values in description.get('history', {}).items():
        lines.append(f'  {key}: ' + ', '.join(f'{value:.4g}' for value in values))
    for name, array in arrays.items():
        wrong = '' if np.isfinite(array).all() else ', NOT ALL FINITE'
        lines.append(f'  {name}: {array.dtype} {array.shape}{wrong}')
    return lines


def _compare_arrays(name, array, other):
    if array is None or other is None:
        return [f'{name}: only in the {"second" if array is None else "first"}']
    if (array.shape, array.dtype) != (other.shape, other.dtype):
        return [f'{name}: {array.dtype} {array.shape} and {other.dtype} {other.shape}']
    if array.tobytes() == other.tobytes():
        return []
    numbers, others = array.astype(np.float64), other.astype(np.float64)
    with np.errstate(invalid='ignore'):
        distance = np.abs(numbers - others)
    unequal = np.count_nonzero(~(numbers == others))
    return [f'{name}: {unequal} of {array.size} numbers differ, by up to {np.nanmax(distance, initial=0):.3g}']


def _compare(where, a, b):
    if isinstance(a, dict) and isinstance(b, dict):
        return [
            line
            for key in sorted({**a, **b})
            for line in _compare(f'{where}.{key}' if where else key, a.get(key), b.get(key))
        ]
    return [] if a == b or (a != a and b != b) else [f'{where}: {a} and {b}']
