"""tools/kernel_cache.py knows what a kernel is made of, and keeps what was compiled."""

import os
import sys
from pathlib import Path

import pytest

from tools import kernel_cache

EXT = Path(__file__).parents[1] / 'cnnx' / '_ext'


@pytest.fixture
def folder(tmp_path):
    """Sources in which a.pyx needs all but other.h and other.pxd."""
    for name, text in {
        'a.pyx': 'from cnnx._ext.inline.b cimport f\nfrom cnnx._ext.table cimport Table\n',
        'a.pxd': 'cdef extern from "simd/own.h":\n    pass\n',
        'table.pxd': '',
        'inline/b.pxd': 'from cnnx._ext.inline.c cimport g\n',
        'inline/c.pxd': 'cdef extern from "simd/x.h" nogil:\n    pass\n',
        'inline/other.pxd': '',
        'simd/own.h': '',
        'simd/x.h': '#include "y.h"\n#define BODY "x.h"\n',
        'simd/y.h': '#include <string.h>\n',
        'simd/other.h': '',
    }.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_all_files_that_a_kernel_is_made_of_are_found(folder):
    found = {path.relative_to(folder).as_posix() for path in kernel_cache.sources_of(folder / 'a.pyx', folder)}
    assert found == {
        *('a.pyx', 'a.pxd', 'table.pxd', 'inline/b.pxd', 'inline/c.pxd', 'simd/own.h', 'simd/x.h', 'simd/y.h')
    }


@pytest.mark.skipif(not list(EXT.glob('*.pyx')), reason='needs the sources, of which a wheel has none')
def test_every_header_is_used_by_a_kernel():
    used = {path for kernel in EXT.glob('*.pyx') for path in kernel_cache.sources_of(kernel, EXT)}
    assert {path for path in EXT.rglob('*') if path.suffix in ('.h', '.pxd')} - used == {
        EXT / 'inline' / '__init__.pxd'
    }


def test_a_digest_depends_on_content_names_and_settings_and_not_on_times(folder):
    sources = kernel_cache.sources_of(folder / 'a.pyx', folder)
    first = kernel_cache.digest(sources, ['-O3'])
    os.utime(folder / 'simd' / 'y.h', (0, 0))
    assert kernel_cache.digest(sources, ['-O3']) == first
    found = {first, kernel_cache.digest(sources, ['-O2']), kernel_cache.digest(sources[:-1], ['-O3'])}
    (folder / 'simd' / 'y.h').write_text('int y;')
    assert len(found | {kernel_cache.digest(sources, ['-O3'])}) == 4


def test_what_was_kept_is_fetched_and_the_oldest_goes(tmp_path):
    built, place = tmp_path / 'built.so', tmp_path / 'package' / 'v3' / 'dense.so'
    kept = [tmp_path / 'kernels' / 'dense' / str(i) for i in range(kernel_cache.MOST_KEPT + 2)]
    assert not kernel_cache.fetch(kept[0], place)
    for i, path in enumerate(kept):
        built.write_text(str(i))
        kernel_cache.keep(built, path)
        os.utime(path, (i, i))
        if i < kernel_cache.MOST_KEPT:
            assert kernel_cache.fetch(kept[0], place)  # which makes it the one that was used latest
    assert place.read_text() == '0'
    assert [kernel_cache.fetch(path, place) for path in kept] == [True, False, False, *[True] * (len(kept) - 3)]


def test_a_program_that_is_not_there_has_no_version(tmp_path):
    assert kernel_cache.version([str(tmp_path / 'no compiler')]) == ''
    assert 'Python' in kernel_cache.version([sys.executable])
