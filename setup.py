"""The compiled kernels: which there are, for which processors, and with which flags.

Everything else about the package stands in pyproject.toml. What was compiled is kept in build/kernels, and used again
where nothing that it depends on has changed (tools/kernel_cache.py). Environment variables:
    CNNX_NO_EXT=1       build none: the package then runs on its NumPy kernels
    CNNX_REQUIRE_EXT=1  fail where a kernel does not compile, instead of leaving it out
    CNNX_TIERS=v2,v3    build these of the tiers v2, v3 and v4, or all; by default, an editable install has the fastest
                        that this processor runs, and a wheel has all
    CNNX_BOUNDSCHECK=1  check every index in the kernels: slow, for debugging
    CNNX_CFLAGS=...     flags that come after all others, such as the -O1 of .ci/sanitize, or -DCNNX_PLAIN, which
                        does not use the compiler's vector extensions, as if it had none
"""

import os
import runpy
import shlex
import shutil
import subprocess
import sys
import sysconfig
import threading
from pathlib import Path
from types import SimpleNamespace

from Cython import __version__ as cython_version
from Cython.Compiler.Main import compile as translate
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py
from setuptools.errors import CompileError

TIERS = {
    'v2': ['-march=x86-64-v2'],
    'v3': ['-march=x86-64-v3'],
    'v4': ['-march=x86-64-v4', '-mprefer-vector-width=512'],
}
SOURCES = Path('cnnx', '_ext')
PLAIN = ('array_table', 'cpu', 'program')
KERNELS = [path.stem for path in sorted(SOURCES.glob('*.pyx')) if path.stem not in PLAIN]
# Cython's own runtime (memoryviews, conversions), compiled once and imported by every kernel.
SHARED = 'cnnx._ext._cython'
stub_of = runpy.run_path(str(Path('tools', 'stubs.py')))['stub_of']
cache = SimpleNamespace(**runpy.run_path(str(Path('tools', 'kernel_cache.py'))))


def wanted(variable):
    return os.environ.get(variable, '') not in ('', '0')


def tiers():
    """Return the tiers to build and their flags; the platform that is built for decides on them."""
    if not sysconfig.get_platform().endswith('-x86_64'):
        return {'portable': []}
    names = os.environ.get('CNNX_TIERS') or 'all'
    if names == 'all':
        return TIERS
    if unknown := set(names.split(',')) - set(TIERS):
        raise ValueError(f'CNNX_TIERS: expected all, or some of {", ".join(TIERS)}, got {", ".join(sorted(unknown))}')
    return {tier: TIERS[tier] for tier in names.split(',')}


def extensions():
    """Return one extension per kernel and tier."""
    if wanted('CNNX_NO_EXT'):
        return []
    modules = [(SHARED, None, []), *((f'cnnx._ext.{stem}', stem, []) for stem in PLAIN)]
    for tier, flags in tiers().items():
        modules += [(f'cnnx._ext.{tier}.{kernel}', kernel, flags) for kernel in KERNELS]
    return [
        Extension(
            name,
            [str(SOURCES / f'{stem}.pyx')] if stem else [],
            include_dirs=[str(SOURCES)],
            extra_compile_args=flags,
            optional=not wanted('CNNX_REQUIRE_EXT'),
        )
        for name, stem, flags in modules
    ]


def remove_compiled():
    """Remove this Python's compiled modules from among the sources, where an editable install keeps them."""
    for path in SOURCES.rglob(f'*{sysconfig.get_config_var("EXT_SUFFIX")}'):
        path.unlink()


class BuildPackage(build_py):
    """Begins with an empty folder, so that no module of another name or from before comes into a wheel."""

    def run(self):
        if not self.editable_mode:
            shutil.rmtree(self.build_lib, ignore_errors=True)
        elif wanted('CNNX_NO_EXT'):
            remove_compiled()
        super().run()


class BuildKernels(build_ext):
    """Compiles each .pyx once per tier, and leaves no old binary where compiling fails."""

    def finalize_options(self):
        super().finalize_options()
        self.parallel = self.parallel or os.cpu_count()
        self.among_sources = self.inplace or self.editable_mode
        # Times of files say nothing of flags: tools/kernel_cache.py decides what is compiled again.
        self.force = True

    def build_extensions(self):
        if self.compiler.compiler_type == 'msvc':
            compile_flags, openmp = ['/O2', '/std:c11'], '/openmp'
        else:
            compile_flags, openmp = ['-O3', '-g0', '-fno-math-errno', '-fno-trapping-math'], '-fopenmp'
            # These are for exceptions of C++ and for debuggers.
            compile_flags.append('-fno-asynchronous-unwind-tables')
        # Symbols are for debuggers, and a tenth of a wheel.
        link_flags = ['-s'] if sys.platform.startswith('linux') and not self.among_sources else []
        last_flags = shlex.split(os.environ.get('CNNX_CFLAGS', ''))
        if self.has_openmp(openmp):
            compile_flags.append(openmp)
            link_flags.append(openmp)
        if self.compiler.compiler_type != 'msvc':
            compile_flags += self.fused_everywhere()
        for extension in self.extensions:
            extension.extra_compile_args = compile_flags + extension.extra_compile_args + last_flags
            extension.extra_link_args = link_flags
        if self.among_sources:
            remove_compiled()
            if not os.environ.get('CNNX_TIERS'):
                self.extensions = self.for_this_processor()
        self.tools = self.describe_tools()
        self.translating = threading.Lock()
        super().build_extensions()

    def describe_tools(self):
        """Return all that a compiled module depends on besides sources and its own flags; None if that is unknown."""
        if self.compiler.compiler_type != 'unix':
            return None
        compiler = self.compiler.compiler_so
        versions = sys.version, cython_version, cache.version(compiler)
        return versions, compiler, self.compiler.linker_so, sysconfig.get_platform(), Path('setup.py').read_text()

    def has_openmp(self, flag):
        """Compile, link and run a parallel program."""
        code = '#include <omp.h>\nint main(void) { return omp_get_max_threads() < 1; }\n'
        try:
            self.output_of('openmp', code, flag)
        except Exception as error:
            self.warn(f'no OpenMP ({error}): the kernels are built without threads')
            return False
        return True

    def fused_everywhere(self):
        """Return the flag with which new GCC fuses multiply and add in each loop, or none where it is unknown.

        GCC 16 does so in some loops only, by default: the same sum has other bits in a batch of another size.
        """
        flag = '--param=avoid-fma-max-bits=0'
        try:
            self.output_of('fused', 'int main(void) { return 0; }\n', flag)
        except Exception:
            return []
        return [flag]

    def for_this_processor(self):
        """Return the extensions without tiers but the fastest that this processor runs; all where that is unknown."""
        calls = ''.join(f'    if (cpu_has_{tier}()) puts("{tier}");\n' for tier in TIERS)
        code = f'#include <stdio.h>\n#include "cpu.h"\nint main(void) {{\n{calls}    return 0;\n}}\n'
        try:
            supported = self.output_of('tiers', code, f'-I{SOURCES}').split()
        except Exception as error:
            self.warn(f'cannot ask the processor ({error}): the kernels are built for all tiers')
            supported = []
        others = set(TIERS) - {*supported[-1:]} if supported else set()
        return [extension for extension in self.extensions if extension.name.split('.')[2] not in others]

    def output_of(self, name, code, flag):
        """Compile, link and run a program; return what it prints."""
        folder = Path(self.build_temp, 'probes')
        folder.mkdir(parents=True, exist_ok=True)
        source = folder / f'{name}.c'
        source.write_text(code)
        objects = self.compiler.compile([str(source)], output_dir=str(folder), extra_postargs=[flag])
        link_flags = [flag, *shlex.split(os.environ.get('LDFLAGS', ''))]
        self.compiler.link_executable(objects, name, output_dir=str(folder), extra_postargs=link_flags)
        return subprocess.run([str(folder / name)], check=True, capture_output=True, text=True).stdout

    def build_extension(self, ext):
        sources = [Path(source) for source in ext.sources]
        target = Path(self.get_ext_fullpath(ext.name))
        kept = self.kept(ext, sources)
        try:
            if not kept or not cache.fetch(kept, target):
                self.generate_c(ext)
                super().build_extension(ext)
                if kept:
                    cache.keep(target, kept)
            self.lay_stubs(target.parent, sources)
        except Exception as error:
            if not ext.optional:
                raise
            self.warn(f'{ext.name} was not built ({error}); cnnx will use its NumPy kernels')

    def kept(self, ext, sources):
        """Return where a build of these sources with these flags is kept, or would be; None for nowhere."""
        if self.tools is None:
            return None
        flags = ext.name, ext.extra_compile_args, ext.extra_link_args, wanted('CNNX_BOUNDSCHECK')
        files = [path for source in sources for path in cache.sources_of(source)]
        return Path('build', 'kernels', ext.name, cache.digest(files, self.tools, flags))

    def lay_stubs(self, folder, sources):
        """Put the stub of what was compiled beside it in a wheel; none lie among the sources."""
        for source in sources if not self.among_sources else ():
            (folder / f'{source.stem}.pyi').write_text(stub_of(source), encoding='utf-8')

    def generate_c(self, ext):
        """Translate the .pyx under the extension's own name, so that tiers share no file.

        In this process, one at a time: Cython takes longer to start than to translate a kernel, and is not made for
        threads.
        """
        target = Path(self.build_temp, 'c', *ext.name.split('.')[1:]).with_suffix('.c')
        target.parent.mkdir(parents=True, exist_ok=True)
        checked = wanted('CNNX_BOUNDSCHECK')
        directives = {
            'language_level': '3',
            'boundscheck': checked,
            'wraparound': False,
            'initializedcheck': checked,
            'cdivision': True,
        }
        if ext.name == SHARED:
            self.spawn([sys.executable, '-m', 'cython', '--module-name', SHARED, '--generate-shared', str(target)])
        else:
            options = {'output_file': str(target), 'include_path': ['.'], 'shared_utility_qualified_name': SHARED}
            with self.translating:
                made = translate(ext.sources[0], full_module_name=ext.name, compiler_directives=directives, **options)
            if made.num_errors:
                raise CompileError(f'Cython found {made.num_errors} errors')
        ext.sources = [str(target)]


setup(ext_modules=extensions(), cmdclass={'build_ext': BuildKernels, 'build_py': BuildPackage})
