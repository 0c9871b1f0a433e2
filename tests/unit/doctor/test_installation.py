"""The installation looked at through ports: what stands in the way is found, nothing is made."""

from __future__ import annotations

import errno
import json
import os

import pytest

from orchestrator.doctor.installation import Ports, check_installation
from orchestrator.environments import Environments
from orchestrator.environments.interpreters import Interpreters
from orchestrator.environments.store import Store
from orchestrator.errors import EnvironmentFailure
from tests import models
from tests.nvidia import FakeNvml
from tests.unit.doctor.conftest import write

FUTURE = """\
name: mini
task: try
summary: A model for an interpreter to come
environment: {python: ">=3.99", platforms: [linux-x86_64], dependencies: []}
inputs: {}
outputs: {text: {type: text}}
"""
MEMINFO = "MemTotal: 16777216 kB\nMemAvailable: 8388608 kB\n"


@pytest.fixture
def world(workspace, tmp_path):
    """A machine on which nothing is wrong, and how to look at it."""
    root = tmp_path / "system"
    cpu = "flags\t\t: fpu avx2 avx512f avx512_bf16 amx_tile amx_bf16\n"
    write(root, {"proc/meminfo": MEMINFO, "proc/cpuinfo": cpu, "proc/self/cgroup": "0::/\n"})
    workspace.variables = {**workspace.variables, "MM_RUNTIME_DIR": str(tmp_path / "run")}
    interpreters = Interpreters(
        workspace.variables, tmp_path / "facts", asking=lambda path: models.facts()
    )
    workspace.environments = Environments(
        workspace.home, workspace.variables, models.Notes(), interpreters=interpreters
    )

    def look(**ports):
        made = {"root": root, "index": lambda w: None, "uv": lambda w: "uv 1.0 (/uv)"}
        made["free_disk"] = lambda path: 100_000_000_000
        return check_installation(workspace, ports=Ports(**{**made, **ports}))

    look.root, look.workspace = root, workspace
    return look


def test_a_sound_installation_has_no_finding(world):
    report = world()
    assert report.findings == ()
    facts = "\n".join(fact.text for fact in report.facts)
    assert "interpreters: 3.12.1" in facts
    assert "AVX2, AVX-512, AVX512-BF16, AMX, AMX-BF16" in facts
    assert "memory: 16 GiB, 8 GiB free" in facts
    assert "package index: answers" in facts
    assert "cpu: the CPU, fast in float32 and bfloat16" in facts
    assert "no cuda: no driver of NVIDIA's is loaded" in facts


def test_a_gpu_is_shown_with_all_that_decides_its_use(world):
    write(world.root, {"dev/nvidiactl": ""})
    facts = "\n".join(fact.text for fact in world(library=FakeNvml).facts)
    assert (
        "cuda:0: NVIDIA GeForce RTX 3060, 12 GiB of memory, 3 GiB free, compute capability 8.6, "
        "a driver for CUDA 12.8, fast in float32 and bfloat16 and float16"
    ) in facts


def test_a_driver_without_a_gpu_for_us(world):
    write(world.root, {"dev/nvidiactl": ""})
    world.workspace.variables = {**world.workspace.variables, "CUDA_VISIBLE_DEVICES": "-1"}
    found = only(world(library=FakeNvml))
    assert (found.id, found.effect.value) == ("gpu", "risk")
    assert "CUDA_VISIBLE_DEVICES=-1 hides every GPU" in found.finding


def test_looking_makes_nothing(world, tmp_path):
    world()
    before = sorted(tmp_path.rglob("*"))
    world()
    assert sorted(tmp_path.rglob("*")) == before
    assert not world.workspace.home.root.exists()
    assert not (tmp_path / "run").exists()


def only(report):
    assert len(report.findings) == 1, report.findings
    return report.findings[0]


def test_a_disk_that_is_nearly_full(world):
    assert only(world(free_disk=lambda path: 1_000_000)).id == "disk"


def test_a_home_that_cannot_be_written(world):
    found = only(world(writable=lambda path: False))
    assert (found.id, found.finding) == (
        "home-read-only",
        f"{world.workspace.home.root} cannot be written",
    )


def test_a_model_that_no_interpreter_fits(world, tmp_path):
    write(tmp_path / "given" / "manifests", {"mini.yaml": FUTURE})
    world.workspace.manifests = (tmp_path / "given" / "manifests",)
    assert only(world()).finding == "no interpreter here fits mini (>=3.99)"


def test_a_cache_that_cannot_share(world, tmp_path):
    def refuse(source, target):
        raise OSError(errno.EXDEV, "another device")

    world.workspace.home.environments.mkdir(parents=True)
    (tmp_path / "home" / ".cache" / "uv").mkdir(parents=True)
    assert world().findings == ()
    assert "it is on another file system" in only(world(link=refuse)).finding


def test_a_uv_that_does_not_run(world):
    def broken(workspace):
        raise EnvironmentFailure("gone")

    assert only(world(uv=broken)).id == "no-uv"


def test_an_index_that_is_out_of_reach_is_no_finding(world):
    report = world(index=lambda workspace: "no answer")
    assert report.findings == ()
    assert report.facts[-1].text.startswith("package index: not reached (no answer)")


def test_a_directory_for_sockets_that_others_may_read(world, tmp_path):
    (tmp_path / "run").mkdir(mode=0o755)
    found = only(world())
    assert (found.id, found.effect.value) == ("sockets", "stops")
    assert found.remedy == f"run: chmod 700 {tmp_path / 'run'}"


def test_a_path_that_is_too_long_for_a_socket(world):
    variables = {**world.workspace.variables, "MM_RUNTIME_DIR": f"/tmp/{'x' * 100}"}
    world.workspace.variables = variables
    assert "longer than" in only(world()).finding


def test_records_of_dead_workers_are_told_and_kept(world, tmp_path):
    (tmp_path / "run").mkdir(mode=0o700)
    record = {
        "id": "a", "model": "ocr", "supervisor": os.getpid(), "started": "another boot:1",
        "environment": "0", "socket": "s", "log": "l",
    }  # fmt: skip
    path = tmp_path / "run" / "a.json"
    path.write_text(json.dumps(record))
    report = world()
    assert only(report).id == "stale-workers"
    assert report.wrong == ()
    assert path.exists()


def test_environments_that_are_broken(world):
    store = Store(world.workspace.home)
    store.directory("half", "b" * 64).mkdir(parents=True)
    whole = models.built(store)
    assert only(world()).id == "unfinished"
    (whole / "bin" / "python").unlink()
    assert [each.id for each in world().findings] == ["unfinished", "no-python"]


def test_a_limit_of_a_container_and_its_kills(world):
    write(
        world.root / "sys" / "fs" / "cgroup",
        {"memory.max": str(2 << 30), "memory.current": "0", "memory.events": "oom_kill 3\n"},
    )
    report = world()
    assert only(report).id == "memory-kills"
    assert "memory: 2 GiB (a control group's limit; the machine has 16 GiB)" in "\n".join(
        fact.text for fact in report.facts
    )


def test_a_driver_that_does_not_answer(world):
    write(world.root / "dev", {"nvidiactl": ""})
    assert only(world()).id == "gpu"


def test_a_manifest_that_is_broken(world):
    folder = world.workspace.cwd.parent / "given"
    write(folder, {"bad.yaml": "name: bad\n"})
    world.workspace.manifests = (folder,)
    found = only(world())
    assert found.id == "manifest"
    assert "given/bad.yaml" in found.evidence[0].file
