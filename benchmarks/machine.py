"""The machine that measures: what it is, and what it can do at most."""

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

LOOK = 0.5  # seconds
PACKAGES = ('numpy', 'torch', 'threadpoolctl')


def processors():
    """Return how many processors this process may use."""
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def describe():
    """Return what there is to know about the machine and the versions of what runs on it."""
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
    """Return how many processors are at work now, on average over a short time; None where that cannot be told."""
    try:
        before = _ticks()
        time.sleep(LOOK)
        idle, total = (after - earlier for after, earlier in zip(_ticks(), before, strict=True))
    except OSError:
        return None
    return (1 - idle / total) * os.cpu_count() if total else None


@contextlib.contextmanager
def keep_busy(count):
    """Keep so many processors at work, each by a process of its own, inside a `with` block."""
    loop = [sys.executable, '-c', 'print(flush=True)\nwhile True: pass']
    processes = []
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            processes.append(stack.enter_context(subprocess.Popen(loop, stdout=subprocess.PIPE)))
            stack.callback(processes[-1].kill)
            processes[-1].stdout.readline()
        yield processes


def measure_peaks(counts):
    """Return the measured peak in FLOP/s by number of threads, and why it is empty where it is."""
    try:
        from cnnx.cli.profile import measure_peak
    except ImportError as error:
        return {}, f'the peak is not known, so there is no share of it: {error}'
    return {count: measure_peak(count) for count in sorted(set(counts))}, None


def _ticks():
    """Return the time that all processors together have been idle, and the time that has passed, in ticks."""
    ticks = list(map(int, Path('/proc/stat').read_text().splitlines()[0].split()[1:9]))
    return ticks[3] + ticks[4], sum(ticks)


def _cpu_model():
    with contextlib.suppress(OSError):
        for line in Path('/proc/cpuinfo').read_text().splitlines():
            if line.startswith('model name'):
                return line.partition(':')[2].strip()
    return platform.processor() or platform.machine()
