"""How many processors may be used: files of control groups as Linux, Docker and Kubernetes write them."""

import math
import os

import pytest

from cnnx._util.processors import available_processors, cpu_quota


def files(root, **contents):
    for path, text in contents.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)


V1 = {'cpu.cfs_quota_us': '150000\n', 'cpu.cfs_period_us': '100000\n'}
V2_GROUPS, V1_GROUPS = '0::/\n', '5:memory:/docker/ab\n4:cpu,cpuacct:/docker/ab\n0::/docker/ab\n'


@pytest.mark.parametrize(
    ('groups', 'contents', 'quota'),
    [
        (V2_GROUPS, {'cpu.max': '150000 100000\n'}, 1.5),
        (V2_GROUPS, {'cpu.max': 'max 100000\n'}, math.inf),
        ('0::/user.slice/my run:1\n', {'user.slice/my run:1/cpu.max': '50000 100000\n'}, 0.5),
        ('0::/a/b\n', {'a/b/cpu.max': 'max 100000\n', 'a/cpu.max': '300000 100000\n'}, 3),
        ('0::/a/b\n', {'a/b/cpu.max': '100000 100000\n', 'a/cpu.max': '300000 100000\n'}, 1),
        (V1_GROUPS, {f'cpu/docker/ab/{name}': text for name, text in V1.items()}, 1.5),
        (V1_GROUPS, {f'cpu/{name}': text for name, text in V1.items()}, 1.5),  # what a container sees of itself
        (V1_GROUPS, {'cpu/cpu.cfs_quota_us': '-1\n', 'cpu/cpu.cfs_period_us': '100000\n'}, math.inf),
        (V1_GROUPS, {'cpu/cpu.cfs_quota_us': '100000\n', 'cpu/cpu.cfs_period_us': '0\n'}, math.inf),
        (V1_GROUPS, {f'memory/{name}': text for name, text in V1.items()}, math.inf),
        (V2_GROUPS, {}, math.inf),
        (V2_GROUPS, {'cpu.max': 'nonsense'}, math.inf),
    ],
)
def test_the_quota_of_control_groups(tmp_path, groups, contents, quota):
    files(tmp_path, **{'proc/self/cgroup': groups})
    files(tmp_path / 'sys/fs/cgroup', **contents)
    assert cpu_quota(tmp_path) == quota


def test_a_system_without_control_groups_has_no_quota(tmp_path):
    assert cpu_quota(tmp_path) == math.inf


@pytest.mark.parametrize(('quota', 'expected'), [('10000', 1), ('100000', 1), ('150000', 2), ('900000', 8), ('max', 8)])
def test_a_quota_counts_as_processors_rounded_up(tmp_path, monkeypatch, quota, expected):
    monkeypatch.setattr(os, 'sched_getaffinity', lambda process: set(range(8)), raising=False)
    files(tmp_path, **{'proc/self/cgroup': V2_GROUPS, 'sys/fs/cgroup/cpu.max': f'{quota} 100000\n'})
    assert available_processors(tmp_path) == expected


def test_processors_are_counted_where_there_is_no_affinity(tmp_path, monkeypatch):
    monkeypatch.delattr(os, 'sched_getaffinity', raising=False)
    for count, expected in ((6, 6), (None, 1)):
        monkeypatch.setattr(os, 'cpu_count', lambda count=count: count)
        assert available_processors(tmp_path) == expected
