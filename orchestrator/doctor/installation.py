"""`mm doctor` without a model: this machine, and what `mm` keeps on it."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator import machine, processes
from orchestrator.core.units import format_size
from orchestrator.doctor.rules.records import (
    Effect,
    Evidence,
    Fact,
    Finding,
    Layer,
    Looked,
    Report,
    listed,
    report,
)
from orchestrator.environments.disk import free_space
from orchestrator.errors import MMError
from orchestrator.processor import features

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.environments.store import Stored
    from orchestrator.workspace import Workspace

LAYER = Layer.INSTALLATION

LOW_DISK = 2 << 30
"""Bytes: less than this is not enough for the environment of a small model."""

PATIENCE = 8.0
"""Seconds that the package index has to answer, however many tries it takes."""

ASKED_FOR = "packaging"
"""A package that every index has: `mm` itself needs it."""

INSTRUCTIONS = {
    "avx2": "AVX2", "avx512f": "AVX-512", "avx512_bf16": "AVX512-BF16", "amx_tile": "AMX",
    "amx_bf16": "AMX-BF16", "asimd": "NEON", "bf16": "BF16", "sve": "SVE",
}  # fmt: skip
"""What models gain from, by the kernel's names."""


@dataclass(frozen=True)
class Ports:
    """What the outside world is asked through; tests hand in their own.

    Attributes:
        root: Where the system's own files are.
        free_disk: Says how many bytes are free on the disk of a path.
        index: Returns None where the package index answers, else what stood in the way.
        link: Makes a hard link.
        uv: Returns where uv is and its version.
    """

    root: Path = machine.ROOT
    free_disk: Callable[[Path], int] = free_space
    index: Callable[[Workspace], str | None] | None = None
    link: Callable[[Path, Path], None] = os.link
    uv: Callable[[Workspace], str] | None = None


def look_at_installation(
    workspace: Workspace, *, offline: bool = False, ports: Ports | None = None
) -> Report:
    """Look at everything that jobs stand on.

    Args:
        workspace: The user's.
        offline: Whether the package index is left alone.
        ports: What the outside world is asked through.
    """
    ports = ports or Ports()
    looked = Looked()
    _interpreters(workspace, looked)
    _uv(workspace, looked, ports)
    _home(workspace, looked, ports)
    _cache(workspace, looked, ports)
    _environments(workspace, looked)
    _sockets(workspace, looked)
    _devices(workspace, looked, ports)
    _memory(looked, ports)
    _manifests(workspace, looked)
    if offline:
        _fact(looked, "package index: not asked (--offline)")
    else:
        _index(workspace, looked, ports)
    return report("this installation", "", looked)


def _interpreters(workspace: Workspace, looked: Looked) -> None:
    found = workspace.environments.targets.interpreters.found
    versions = dict.fromkeys(one.interpreter.version for one in found)
    _fact(looked, f"interpreters: {listed(versions) or 'none'}")
    unfit = []
    for declared in workspace.catalog.models.values():
        wanted = declared.manifest.environment.python
        if not workspace.environments.targets.interpreters.fitting(wanted):
            unfit.append(f"{declared.name} ({wanted})")
    if unfit:
        _finding(
            looked, "no-interpreter", Effect.RISK,
            f"no interpreter here fits {listed(unfit)}",
            "these models cannot be built", "install one, or run: mm env sync MODEL "
            "--install-python",
        )  # fmt: skip


def ask_uv(workspace: Workspace) -> str:
    """Return the version of the uv that belongs to `mm`, and where it is.

    Raises:
        MMError, OSError: When it is not there or does not run.
    """
    from orchestrator.backends.toolenv import tool_variables
    from orchestrator.backends.uv import uv_binary

    binary = uv_binary()
    variables = tool_variables(workspace.variables)
    said = processes.run([binary, "--version"], variables=variables, timeout=PATIENCE).stdout
    return f"{said.strip()} ({binary})"


def _uv(workspace: Workspace, looked: Looked, ports: Ports) -> None:
    try:
        _fact(looked, f"uv: {(ports.uv or ask_uv)(workspace)}")
    except (MMError, OSError) as error:
        _finding(
            looked, "no-uv", Effect.STOPS, f"the uv that belongs to mm does not run: {error}",
            "no environment can be built with it",
            "run: pip install --force-reinstall uv; or build with --backend virtualenv",
        )  # fmt: skip


def _home(workspace: Workspace, looked: Looked, ports: Ports) -> None:
    root = workspace.home.root
    existing = _existing(root)
    free = ports.free_disk(existing)
    _fact(looked, f"MM_HOME: {root}, {format_size(free)} free")
    if not os.access(existing, os.W_OK):
        _finding(
            looked, "home-read-only", Effect.STOPS, f"{root} cannot be written",
            "no environment can be built", "set MM_HOME to a directory of yours",
        )  # fmt: skip
    if free < LOW_DISK:
        _finding(
            looked, "disk", Effect.RISK, f"{format_size(free)} are free on the disk of {root}",
            "environments of models with torch take several GB",
            "run: mm env prune; or set MM_HOME to a larger disk",
        )  # fmt: skip


def _cache(workspace: Workspace, looked: Looked, ports: Ports) -> None:
    from orchestrator.environments.hints import cache_directory, links_refused

    cache, home = cache_directory(workspace.variables), workspace.home.environments
    if cache.is_dir() and home.is_dir():
        refused = links_refused(cache, home, ports.link)
    elif _existing(cache).stat().st_dev != _existing(home).stat().st_dev:
        refused = "it is on another file system"
    else:
        refused = None
    if refused is None:
        _fact(looked, f"uv's cache: {cache}, shares files with MM_HOME")
    else:
        _finding(
            looked, "cache-links", Effect.RISK,
            f"uv's cache {cache} cannot share files with {workspace.home.root}: {refused}",
            "every environment takes a full copy of its packages",
            "set UV_CACHE_DIR (or MM_HOME) to a directory on the same file system",
        )  # fmt: skip


def _environments(workspace: Workspace, looked: Looked) -> None:
    from orchestrator.environments.store import interpreter_works

    stored = workspace.environments.store.all()
    broken = [each for each in stored if each.marker is None]
    gone = [each for each in stored if each.marker and not interpreter_works(each.path)]
    _fact(looked, f"environments: {len(stored) - len(broken) - len(gone)} built")
    if broken:
        _stored(looked, "unfinished", broken, "never finished", "run: mm env prune")
    if gone:
        _stored(looked, "no-python", gone, "without its interpreter", "run: mm env sync")


def _stored(looked: Looked, name: str, many: list[Stored], said: str, remedy: str) -> None:
    names = listed(each.path.name for each in many)
    _finding(
        looked, name, Effect.RISK, f"{len(many)} of the environments: {said} ({names})",
        "what is there takes room and is not used", remedy,
        tuple(Evidence(str(each.path)) for each in many),
    )  # fmt: skip


def _sockets(workspace: Workspace, looked: Looked) -> None:
    from orchestrator.client.runtime import look_at_runtime_directory

    try:
        runtime = look_at_runtime_directory(workspace.variables)
    except MMError as error:
        _finding(
            looked, "sockets", Effect.STOPS, f"{error.where}: {error.what}",
            "no worker can be started", error.fix,
        )  # fmt: skip
        return
    if runtime is None:
        _fact(looked, "sockets: the directory will be made at the first run")
        return
    dead = runtime.dead()
    live = sum(1 for _ in runtime.path.glob("*.json")) - len(dead)
    _fact(looked, f"sockets: {runtime.path}, {live} live workers")
    if dead:
        names = listed(sorted({record.model for record in dead}))
        _finding(
            looked, "stale-workers", Effect.NOTE,
            f"{len(dead)} records of workers whose supervisor was killed ({names})",
            "nothing: they are cleared away when workers are looked for", "run: mm ps",
            tuple(Evidence(str(runtime.record(record.id))) for record in dead),
        )  # fmt: skip


def _devices(workspace: Workspace, looked: Looked, ports: Ports) -> None:
    has = features(ports.root)
    named = [INSTRUCTIONS[each] for each in INSTRUCTIONS if each in has]
    _fact(looked, f"processor: {machine.cores()} cores{', ' if named else ''}{', '.join(named)}")
    devices = machine.available_devices(ports.root)
    if "cuda" in devices:
        free = machine.MachineMemory(workspace.variables).free("cuda")
        if free is None:
            _finding(
                looked, "gpu", Effect.RISK,
                "there is an NVIDIA driver, and it does not answer",
                "--device auto chooses cuda, and torch may find no GPU",
                "look at nvidia-smi and CUDA_VISIBLE_DEVICES, or use --device cpu",
            )  # fmt: skip
        else:
            _fact(looked, f"GPU: NVIDIA, {format_size(free, binary=True)} free")
    if "mps" in devices:
        _fact(looked, "GPU: Apple (mps), untested and used on request alone")
    if len(devices) == 1:
        _fact(looked, "GPU: none; models run on the CPU")


def _memory(looked: Looked, ports: Ports) -> None:
    total = machine.total_memory(ports.root)
    free = machine.free_memory(ports.root)
    physical = machine.physical_memory(ports.root)
    left = format_size(free, binary=True) if free is not None else "an unknown amount"
    limit = (
        f" (a control group's limit; the machine has {format_size(physical, binary=True)})"
        if total < physical
        else ""
    )
    _fact(looked, f"memory: {format_size(total, binary=True)}{limit}, {left} free")
    _, kills = machine.memory_kills(ports.root)
    if kills:
        _finding(
            looked, "memory-kills", Effect.NOTE,
            f"{kills} processes of this control group were killed for want of memory",
            "a job that ended so is reported as crashed", "give the container more memory",
        )  # fmt: skip


def _manifests(workspace: Workspace, looked: Looked) -> None:
    catalog = workspace.catalog
    _fact(looked, f"models: {listed(catalog.models, 20)}")
    for broken in catalog.broken.values():
        _finding(
            looked, "manifest", Effect.RISK, str(broken.error), "the model cannot be used",
            "run: mm manifest check", (Evidence(str(broken.file)),),
        )  # fmt: skip


def _index(workspace: Workspace, looked: Looked, ports: Ports) -> None:
    problem = (ports.index or ask_index)(workspace)
    if problem is None:
        _fact(looked, "package index: answers")
    else:
        _fact(looked, f"package index: not reached ({problem}); what is built goes on working")


def ask_index(workspace: Workspace) -> str | None:
    """Return None where the user's package index answers, else what stood in the way.

    uv asks it, as it does for a build, so that mirrors, proxies and credentials are the user's own.
    """
    from orchestrator.backends.indexes import read_settings
    from orchestrator.backends.toolenv import tool_variables
    from orchestrator.backends.uv import uv_binary
    from orchestrator.environments.advice import tool_failure
    from orchestrator.environments.resolver import OWN_PYTHON

    with tempfile.TemporaryDirectory(prefix="mm-doctor-") as scratch:
        asked = Path(scratch, "asked.in")
        asked.write_text(f"{ASKED_FOR}\n", encoding="utf-8")
        try:
            variables = {
                **read_settings(workspace.variables).uv_variables(hashed=False),
                **tool_variables(workspace.variables),
                "UV_HTTP_TIMEOUT": "4",
                "UV_HTTP_RETRIES": "0",
            }
            command = [uv_binary(), "pip", "compile", str(asked), "--no-deps", "--no-cache"]
            command += ["--no-config", "--no-python-downloads", "--python", OWN_PYTHON, "--quiet"]
            processes.run(command, variables=variables, cwd=Path(scratch), timeout=PATIENCE)
        except processes.ProcessError as error:
            if error.returncode < 0:
                return f"no answer within {PATIENCE:.0f} seconds"
            said = tool_failure(error, subject="the index", name="", command="mm doctor").what
            return said.removeprefix("the index: ")
        except (MMError, OSError) as error:
            return str(error)
    return None


def _existing(path: Path) -> Path:
    return next(each for each in (path, *path.parents) if each.exists())


def _fact(looked: Looked, text: str) -> None:
    looked.facts.append(Fact(LAYER, text))


def _finding(
    looked: Looked,
    name: str,
    effect: Effect,
    finding: str,
    consequence: str,
    remedy: str,
    evidence: tuple[Evidence, ...] = (),
) -> None:
    looked.findings.append(Finding(LAYER, name, effect, finding, consequence, remedy, evidence))
