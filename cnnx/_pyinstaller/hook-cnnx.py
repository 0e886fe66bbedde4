"""PyInstaller's hook: the kernels, which cnnx imports by names that it composes, and the files of data."""

from PyInstaller.utils.hooks import collect_data_files, collect_submodules

hiddenimports = [*collect_submodules('cnnx._ext'), *collect_submodules('cnnx._numpy')]
datas = collect_data_files('cnnx', excludes=['_ext'])
