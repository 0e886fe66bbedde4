"""The machine: its description, its load, its peak speed."""

import contextlib
import importlib.metadata
import io
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import cnnx

INTERVAL = 0.5  # seconds
PACKAGES = ('numpy', 'torch', 'threadpoolctl')


def processors():
    """Return how many processors this process may use."""
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def describe():
    """Return a dict of the machine and the versions of packages."""
    versions = {}
    for package in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    return {
        'cpu': _cpu_model(),
        'processors': processors(),
        'system': platform.platform(),
        'cnnx': cnnx.show_config(io.StringIO()),
        'versions': versions,
    }


def busy_processors():
    """Return how many processors are busy now, on average over a short time; None if the system does not say."""
    try:
        before = _ticks()
        time.sleep(INTERVAL)
        idle, total = (after - earlier for after, earlier in zip(_ticks(), before, strict=True))
    except OSError:
        return None
    return (1 - idle / total) * os.cpu_count() if total else None


@contextlib.contextmanager
def keep_busy(count):
    """Keep so many processors busy inside a `with` block, each by a process of its own."""
    loop = [sys.executable, '-c', 'print(flush=True)\nwhile True: pass']
    processes = []
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            processes.append(stack.enter_context(subprocess.Popen(loop, stdout=subprocess.PIPE)))
            stack.callback(processes[-1].kill)
            processes[-1].stdout.readline()
        yield processes


def measure_peaks(counts):
    """Return {threads: measured peak in FLOP/s}, and if that is empty, the reason."""
    try:
        from cnnx.diagnostics.profiler import measure_peak
    except ImportError as error:
        return {}, f'the peak is not known: {error}'
    return {count: measure_peak(count) for count in sorted(set(counts))}, None


def _ticks():
    """Return the idle time and the total time of all processors together, in ticks."""
    ticks = list(map(int, Path('/proc/stat').read_text().splitlines()[0].split()[1:9]))
    return ticks[3] + ticks[4], sum(ticks)


def _cpu_model():
    with contextlib.suppress(OSError):
        for line in Path('/proc/cpuinfo').read_text().splitlines():
            if line.startswith('model name'):
                return line.partition(':')[2].strip()
    return platform.processor() or platform.machine()
