"""What macOS's C library answers, laid out in bytes as its headers say, and read by offset."""

import ctypes
import os
import struct

import pytest

from orchestrator.system import darwin

GIB = 1 << 30
PAGE = os.sysconf("SC_PAGE_SIZE")


class Libc:
    """Answers with bytes, each at the offset that the compiler gives it on arm64."""

    def __init__(self, **answers):
        self.answers = answers

    def __getattr__(self, name):
        if name not in self.answers:
            raise AttributeError(name)
        return self.answers[name]


@pytest.fixture
def libc(monkeypatch):
    """Return a function that gives the process another C library."""
    return lambda **calls: monkeypatch.setattr(darwin, "library", lambda: Libc(**calls))


def filled(buffer, size, values):
    """Fill a structure of so many bytes with numbers, each with its format and offset."""
    assert ctypes.sizeof(buffer._obj) == size
    data = bytearray(b"\xff" * size)
    for form, offset, value in values:
        struct.pack_into(form, data, offset, value)
    ctypes.memmove(buffer, bytes(data), size)


def process(status):
    def call(pid, flavor, argument, buffer, size):
        assert (pid, flavor, argument.value, size) == (7, 3, 0, 136)
        filled(buffer, 136, [("I", 4, status), ("Q", 120, 1764446160), ("Q", 128, 42)])
        return size

    return call


def test_a_process_began_at_a_second_and_a_microsecond(libc):
    libc(proc_pidinfo=process(status=2))
    assert darwin.start_time(7) == "1764446160.000042"


def test_a_zombie_and_a_process_that_is_not_there_are_gone(libc):
    libc(proc_pidinfo=process(status=5))
    assert darwin.start_time(7) == ""
    libc(proc_pidinfo=lambda *_: 0)
    assert darwin.start_time(7) == ""


def test_the_footprint_of_a_process(libc):
    def call(pid, flavor, buffer):
        assert (pid, flavor) == (7, 0)
        filled(buffer, 96, [("Q", 72, 3 * GIB)])
        return 0

    libc(proc_pid_rusage=call)
    assert darwin.footprint(7) == 3 * GIB
    libc(proc_pid_rusage=lambda *_: -1)
    assert darwin.footprint(7) is None


def test_free_is_what_needs_no_compression():
    pages = {"free": 700, "pageable_external": 70, "purgeable": 5, "speculative": 50}
    asked = {f"vm.page_{kind}_count": number for kind, number in pages.items()}
    assert darwin.free_memory(asked.get) == 775 * PAGE
    del asked["vm.page_purgeable_count"]
    assert darwin.free_memory(asked.get) is None


@pytest.mark.parametrize(
    ("numbers", "count"),
    [
        ({"Performance": 8, "Efficiency": 4}, 8),
        ({"Super": 4, "Efficiency": 6}, 4),
        ({"Super": 6, "Performance": 12}, 18),
        ({}, 6),
    ],
    ids=["M2 Max", "M5", "M5 Max", "Intel"],
)
def test_efficiency_cores_do_not_count(numbers, count):
    known = {"hw.physicalcpu": 6}
    if numbers:
        known |= {"hw.nperflevels": len(numbers), "hw.physicalcpu": sum(numbers.values())}
    for level, number in enumerate(numbers.values()):
        known[f"hw.perflevel{level}.physicalcpu"] = number
    names = {f"hw.perflevel{level}.name": name for level, name in enumerate(numbers)}
    assert darwin.performance_cores(known.get, names.get) == count
    assert darwin.performance_cores({}.get, {}.get) is None


@pytest.mark.parametrize(
    ("memory", "limit", "expected"),
    [(16, 0, 32 / 3), (36, 0, 27), (64, 0, 48), (64, 60 << 10, 60), (64, None, None)],
)
def test_the_gpu_may_use_a_part_of_the_memory(memory, limit, expected):
    found = darwin.working_set(memory * GIB, {"iogpu.wired_limit_mb": limit}.get)
    assert found == (None if expected is None else int(expected * GIB))


def test_a_clone_shares_its_data_and_gives_back_what_is_its_own(libc):
    def call(path, wanted, buffer, size, options):
        assert path == b"/x"
        assert bytes(wanted._obj) == struct.pack("HHIIIII", 5, 0, 0, 0, 0, 0, 0x108)
        assert (size.value, options.value) == (20, 0x21)
        filled(buffer, 20, [("=I", 0, 20), ("=q", 4, 512), ("=Q", 12, 99)])
        return 0

    libc(getattrlist=call)
    assert darwin.clone("/x") == darwin.Clone(stream=99, private=512)
    libc(getattrlist=lambda *_: -1)
    assert darwin.clone("/x") is None


def test_another_system_has_none_of_the_calls(libc):
    libc()
    found = [
        darwin.start_time(7),
        darwin.footprint(7),
        darwin.free_memory(),
        darwin.clone("/x"),
    ]
    assert found == [None] * 4
