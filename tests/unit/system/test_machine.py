"""Memory, as the system's files say it, on trees that look like those of real machines."""

import os

import pytest

from orchestrator.system import darwin, machine
from tests import portable

GIB = 1 << 30

MEMINFO = """MemTotal:       33554432 kB
MemFree:         1048576 kB
MemAvailable:   16777216 kB
"""


@pytest.fixture
def tree(tmp_path):
    """Return a function that fills a root directory with files."""

    def fill(files):
        for name, text in {"proc/meminfo": MEMINFO, **files}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(str(text))
        return tmp_path

    return fill


def v2(path, limit, usage, inactive=0):
    base = f"sys/fs/cgroup{path}"
    return {
        f"{base}/memory.max": f"{limit}\n",
        f"{base}/memory.current": f"{usage}\n",
        f"{base}/memory.stat": f"anon 1\ninactive_file {inactive}\n",
        f"{base}/memory.events": "low 0\noom 4\noom_kill 2\noom_group_kill 0\n",
    }


def v1(path, limit, usage, inactive=0):
    base = f"sys/fs/cgroup/memory{path}"
    return {
        f"{base}/memory.limit_in_bytes": f"{limit}\n",
        f"{base}/memory.usage_in_bytes": f"{usage}\n",
        f"{base}/memory.stat": f"inactive_file 7\ntotal_inactive_file {inactive}\n",
        f"{base}/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 5\n",
    }


def test_without_groups_it_is_what_the_kernel_says(tree):
    root = tree({})
    assert machine.total_memory(root) == 32 * GIB
    assert machine.free_memory(root) == 16 * GIB


def test_a_limit_of_version_2_counts_what_can_be_given_back(tree):
    root = tree({"proc/self/cgroup": "0::/box\n", **v2("/box", 4 * GIB, 3 * GIB, GIB)})
    assert machine.total_memory(root) == 4 * GIB
    assert machine.free_memory(root) == 2 * GIB


def test_a_group_without_a_limit_is_bounded_by_those_above_it(tree):
    files = {
        "proc/self/cgroup": "0::/outer/inner\n",
        **v2("/outer/inner", "max", GIB),
        **v2("/outer", 2 * GIB, GIB // 2),
    }
    root = tree(files)
    assert machine.total_memory(root) == 2 * GIB
    assert machine.free_memory(root) == 3 * GIB // 2


def test_a_container_sees_its_group_as_the_root_of_the_mount(tree):
    root = tree({"proc/self/cgroup": "0::/docker/abc\n", **v2("", GIB, GIB // 4)})
    assert machine.free_memory(root) == 3 * GIB // 4


def test_a_limit_of_version_1_counts_its_children(tree):
    files = {
        "proc/self/cgroup": "5:cpu:/x\n4:memory:/box\n0::/\n",
        **v1("/box", 4 * GIB, 3 * GIB, GIB),
        **v1("", 2**63 - 4096, 10 * GIB),
    }
    root = tree(files)
    assert machine.total_memory(root) == 4 * GIB
    assert machine.free_memory(root) == 2 * GIB


def test_a_group_over_its_limit_has_nothing_free(tree):
    root = tree({"proc/self/cgroup": "0::/box\n", **v2("/box", GIB, 2 * GIB)})
    assert machine.free_memory(root) == 0


@pytest.mark.parametrize("text", ["", "nonsense", "0::", "4:memory:"])
def test_files_that_are_no_help_are_passed_over(tree, text):
    assert machine.free_memory(tree({"proc/self/cgroup": text})) == 16 * GIB


def test_a_system_that_does_not_say_leaves_it_open(tmp_path):
    assert machine.free_memory(tmp_path) is None
    assert machine.total_memory(tmp_path) > 0


@pytest.mark.parametrize(
    ("files", "count"),
    [
        ({"proc/self/cgroup": "0::/box\n", **v2("/box", GIB, 1)}, 2),
        ({"proc/self/cgroup": "4:memory:/box\n", **v1("/box", GIB, 1)}, 5),
    ],
)
def test_kills_for_memory_are_counted_by_our_own_group(tree, files, count):
    path, found = machine.memory_kills(tree(files))
    assert found == count
    assert machine.count_kills(path) == count
    assert "/box/" in path


def test_where_nobody_counts_there_are_none(tmp_path):
    assert machine.memory_kills(tmp_path) == ("", 0)
    assert machine.count_kills("") is None


def test_the_kernels_log_names_the_process_that_it_killed(tmp_path):
    log = tmp_path / "kmsg"
    log.write_text("3,1,2,-;Out of memory: Killed process 77 (python) total-vm:1kB\n")
    assert machine.was_killed_for_memory(77, log)
    assert not machine.was_killed_for_memory(7, log)
    assert not machine.was_killed_for_memory(77, tmp_path / "none")


def test_the_process_memory_of_a_process(tree):
    root = tree({"proc/5/statm": "100 10 3 1 0 5 0\n"})
    assert machine.resident_memory(5, root=root) == 10 * os.sysconf("SC_PAGE_SIZE")
    assert machine.resident_memory(6, root=root) is None


def test_what_is_not_a_gpu_is_this_machines_memory():
    free = machine.MachineMemory().free("cpu")
    assert free is None or free > 0


def test_without_files_about_them_the_systems_calls_say_what_processes_and_memory_take():
    with portable.taken_away():
        assert 0 < machine.free_memory() <= machine.total_memory()
        assert machine.resident_memory(os.getpid()) > 1 << 20
        assert machine.resident_memory(2**22 + 1) is None


@pytest.mark.parametrize(("limit", "free"), [(GIB, GIB), (None, 4 * GIB), (1 << 60, 4 * GIB)])
def test_a_gpu_that_shares_the_memory_may_use_a_part_of_it(monkeypatch, limit, free):
    monkeypatch.setattr(machine, "free_memory", lambda: 4 * GIB)
    monkeypatch.setattr(darwin, "working_set", lambda total: limit)
    with portable.taken_away():  # files about processes, which a Mac has not
        assert machine.MachineMemory().free("mps") == free
        assert machine.MachineMemory().free("mlx") == free
        assert machine.MachineMemory().free("cpu") == 4 * GIB
    assert machine.MachineMemory().free("mlx") == 4 * GIB
