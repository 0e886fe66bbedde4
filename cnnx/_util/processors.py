"""How many processors this process may use: by its affinity, and by the CPU quota of its container (cgroup)."""

import math
import os
from pathlib import Path


def available_processors(root='/'):
    """Return how many processors this process may use, at least 1; of a quota such as 1.5 processors, 2.

    Args:
        root: the folder below which proc/ and sys/ are.
    """
    processors = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1
    return math.ceil(min(processors, cpu_quota(Path(root))))


def cpu_quota(root):
    """Return the smallest quota of this process's control groups, in processors, or infinity where there is none.

    Files: `cpu.max` of cgroup v2, `cpu.cfs_quota_us` and `cpu.cfs_period_us` of v1; each holds for all groups below.
    Source: the Linux kernel's documentation, admin-guide/cgroup-v2 and scheduler/sched-bwc.
    """
    quota = math.inf
    for line in _text(root / 'proc/self/cgroup').splitlines():
        _, controllers, group = line.split(':', 2)
        if controllers and 'cpu' not in controllers.split(','):
            continue
        mount = root / 'sys/fs/cgroup' / ('cpu' if controllers else '')
        # Inside a container the path may be the host's, of which only the mounted top is there.
        group = Path(group.strip('/'))
        for folder in (group, *group.parents):
            quota = min(quota, _quota_of(mount / folder))
    return quota


def _quota_of(folder):
    """Return the quota of one control group, by either version's files."""
    limit = _text(folder / 'cpu.max') or f'{_text(folder / "cpu.cfs_quota_us")} {_text(folder / "cpu.cfs_period_us")}'
    try:
        quota, period = map(int, limit.split())
    except ValueError:  # there are no such files, or v2 says 'max'
        return math.inf
    return quota / period if quota > 0 < period else math.inf


def _text(path):
    """Return a file's text, empty where it cannot be read."""
    try:
        return path.read_text()
    except OSError:
        return ''
