"""Exported C, compiled without a warning and called from Python, for tests."""

import ctypes
import functools
import os
import shutil
import subprocess

import numpy as np
import pytest

STRICT = ['-Wall', '-Wextra', '-Wpedantic', '-Wconversion', '-Werror']
# A compiler for C, and the same for C++, with the standard.
LANGUAGES = {
    'gcc': ['gcc', '-std=c99'],
    'clang': ['clang', '-std=c99'],
    'g++': ['g++', '-std=c++11', '-x', 'c++'],
    'clang++': ['clang++', '-std=c++11', '-x', 'c++'],
}


def run_compiler(language, *arguments):
    """Run a compiler, or skip the test where there is none; it must accept the sources without a warning."""
    command = LANGUAGES[language]
    if not _works(command[0]):
        pytest.skip(f'{command[0]} is not installed, or compiles nothing')
    libraries = [] if '-c' in arguments else ['-lm']
    result = subprocess.run([*command, *STRICT, *map(str, arguments), *libraries], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


@functools.cache
def _works(compiler, *flags):
    if shutil.which(compiler) is None:
        return False
    arguments = [compiler, '-x', 'c++' if '+' in compiler else 'c', *(flags or ['-fsyntax-only']), '-']
    program = 'int main(void) { return 0; }'
    return subprocess.run(arguments, input=program, capture_output=True, text=True).returncode == 0


def sanitizers():
    """Return the flags for AddressSanitizer and UBSan, or skip the test where gcc has none."""
    flags = ['-fsanitize=address,undefined', '-fno-sanitize-recover=all']
    if not _works('gcc', *flags, '-o', os.devnull):
        pytest.skip('gcc has no sanitizers here')
    return flags


def load(sources, folder):
    """Return a library of C sources."""
    path = folder / 'library.so'
    run_compiler('gcc', '-O0', '-shared', '-fPIC', *sources, '-o', path)
    return ctypes.CDLL(str(path))


def call(function, x, shape, dtype=np.float32):
    """Return the outputs (N, *shape) of a C function (in, out) of one sample, for samples x (N, ...)."""
    x, out = np.ascontiguousarray(x, dtype), np.empty((len(x), *shape), dtype)
    for sample, output in zip(x, out, strict=True):
        function(sample.ctypes.data_as(ctypes.c_void_p), output.ctypes.data_as(ctypes.c_void_p))
    return out
