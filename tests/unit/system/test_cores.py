"""How many threads are worth it, on trees that look like those of real machines."""

import os

import pytest

from orchestrator.system import cores as module
from orchestrator.system import darwin
from orchestrator.system.cores import cores

ALL = frozenset(range(12))


@pytest.fixture
def tree(tmp_path):
    """Return a function that fills a root directory with files."""

    def fill(files):
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{text}\n")
        return tmp_path

    return fill


def capacities(*speeds):
    return {
        f"sys/devices/system/cpu/cpu{core}/cpu_capacity": speed for core, speed in enumerate(speeds)
    }


def test_without_anything_said_they_are_those_that_are_allowed(tree):
    assert cores(tree({}), ALL) == 12
    assert cores(tree({}), frozenset({3, 7})) == 2


@pytest.mark.parametrize(
    ("speeds", "count"),
    [
        ([1024] * 8 + [380] * 4, 8),
        ([1024] * 2 + [870] * 2 + [250] * 4, 4),
        ([1024] * 10 + [720] * 10, 20),
        ([446] * 4 + [1024] * 2, 4 + 2),
    ],
    ids=["eight and four", "three kinds", "two kinds that are close", "few fast ones"],
)
def test_cores_that_would_hold_the_others_up_are_left_out(tree, speeds, count):
    assert cores(tree(capacities(*speeds)), frozenset(range(len(speeds)))) == count


@pytest.mark.parametrize(
    "name", ["sys/devices/cpu_atom/cpus", "sys/devices/system/cpu/types/intel_atom_0/cpulist"]
)
def test_cores_that_are_named_for_efficiency_are_left_out(tree, name):
    root = tree({name: "4-10,11"})
    assert cores(root, ALL) == 4
    assert cores(root, frozenset({4, 5})) == 2  # there are no others


@pytest.mark.parametrize(
    ("files", "count"),
    [
        ({"proc/self/cgroup": "0::/box", "sys/fs/cgroup/box/cpu.max": "250000 100000"}, 3),
        ({"proc/self/cgroup": "0::/box", "sys/fs/cgroup/box/cpu.max": "max 100000"}, 12),
        (
            {
                "proc/self/cgroup": "0::/a/b",
                "sys/fs/cgroup/a/b/cpu.max": "max 100000",
                "sys/fs/cgroup/a/cpu.max": "50000 100000",
            },
            1,
        ),
        (
            {
                "proc/self/cgroup": "3:cpu,cpuacct:/box",
                "sys/fs/cgroup/cpu/box/cpu.cfs_quota_us": "200000",
                "sys/fs/cgroup/cpu/box/cpu.cfs_period_us": "100000",
            },
            2,
        ),
        (
            {
                "proc/self/cgroup": "3:cpu,cpuacct:/box",
                "sys/fs/cgroup/cpu/box/cpu.cfs_quota_us": "-1",
                "sys/fs/cgroup/cpu/box/cpu.cfs_period_us": "100000",
            },
            12,
        ),
    ],
    ids=["version 2", "no limit", "the group above", "version 1", "no limit of version 1"],
)
def test_a_container_uses_no_more_than_its_quota(tree, files, count):
    assert cores(tree(files), ALL) == count


def test_where_there_is_no_affinity_the_fast_cores_count(monkeypatch):
    monkeypatch.delattr(module.os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(darwin, "performance_cores", lambda: 8)
    assert cores() == 8
    monkeypatch.setattr(darwin, "performance_cores", lambda: None)
    assert cores() == os.cpu_count()
