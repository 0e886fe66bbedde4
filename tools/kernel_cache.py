"""Compiled kernels kept for the next build, each under a digest of everything that it is made of; setup.py uses it.

A module is compiled again where its own source, a file that it includes or cimports, a flag, or the version of Python,
Cython or the compiler is another. Nothing depends on times of files. To empty the cache, delete build/kernels.
"""

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

SOURCES = Path('cnnx', '_ext')
# Builds that are kept of each module, for those who change between sets of flags, or between versions of Python.
MOST_KEPT = 8


def sources_of(path, folder=SOURCES):
    """Return a .pyx file and all files of the folder that it cimports or includes, directly or not, sorted."""
    found, waiting = set(), [path]
    while waiting:
        path = waiting.pop()
        if path in found or not path.is_file():
            continue
        found.add(path)
        text = path.read_text(encoding='utf-8')
        names = re.findall(r'"([\w/]+\.h)"', text)
        names += [name.replace('.', '/') + '.pxd' for name in re.findall(r'\bcnnx\._ext\.([\w.]+)', text)]
        waiting += [
            path.with_suffix('.pxd'),
            *(folder / name for name in names),
            *(path.parent / name for name in names),
        ]
    return sorted(found)


def digest(sources, *settings):
    """Return a digest of what stands in files, and of settings."""
    result = hashlib.sha256(repr(settings).encode())
    for path in sources:
        result.update(repr((path.as_posix(), path.read_bytes())).encode())
    return result.hexdigest()[:24]


def version(command):
    """Return what a program says of its version; '' where it cannot be run."""
    try:
        run = subprocess.run([*command, '--version'], capture_output=True, text=True, check=False)
    except OSError:
        return ''
    return run.stdout + run.stderr


def fetch(kept, target):
    """Copy a kept module to its place; return whether there was one."""
    if not kept.exists():
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(kept, target)
    os.utime(kept)
    return True


def keep(target, kept):
    """Keep a module that was compiled, and remove the oldest of its name."""
    kept.parent.mkdir(parents=True, exist_ok=True)
    part = kept.with_suffix('.part')
    shutil.copyfile(target, part)
    os.replace(part, kept)
    builds = sorted(kept.parent.iterdir(), key=lambda path: path.stat().st_mtime)
    for path in builds[:-MOST_KEPT]:
        path.unlink()
