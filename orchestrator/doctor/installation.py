"""`mm doctor` without a model: this machine, and what `mm` keeps on it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from ctypes import CDLL
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.core.devices import Device, Machine
from orchestrator.core.units import format_size
from orchestrator.doctor.rules.findings import Evidence, Fact, Layer, Report, Results, listed, rule
from orchestrator.errors import MMError
from orchestrator.system import gpus, machine, processes
from orchestrator.system.cores import cores
from orchestrator.system.device_discovery import find_devices
from orchestrator.system.processor import features
from orchestrator.workspace import Workspace

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


def ask_index(workspace: Workspace) -> str | None:
    """Return None where the user's package index answers, else what stood in the way.

    uv asks it, as it does for a build, so that mirrors, proxies and credentials are the user's own.
    """
    from orchestrator.backends.indexes import read_settings
    from orchestrator.backends.resolver import Resolver
    from orchestrator.backends.tool_failures import tool_failure

    variables = {**workspace.variables, "UV_HTTP_TIMEOUT": "4", "UV_HTTP_RETRIES": "0"}
    try:
        indexes = read_settings(workspace.variables)
        resolver = Resolver(variables, indexes, workspace.reporter, timeout=PATIENCE)
        resolver.compile([ASKED_FOR], ["--no-deps", "--no-cache", "--quiet"])
    except processes.ProcessError as error:
        if error.returncode < 0:
            return f"no answer within {PATIENCE:.0f} seconds"
        said = tool_failure(error, subject="the index", name="", command="mm doctor").what
        return said.removeprefix("the index: ")
    except (MMError, OSError) as error:
        return str(error)
    return None


def _writable(directory: Path) -> bool:
    return os.access(directory, os.W_OK)


@dataclass(frozen=True)
class Ports:
    """What the outside world is asked through; tests hand in their own.

    Attributes:
        root: Where the system's own files are.
        library: Opens the libraries of NVIDIA's driver.
        free_disk: Says how many bytes are free on the disk of a path.
        writable: Says whether a directory can be written.
        index: Returns None where the package index answers, else what stood in the way.
        link: Makes a hard link.
        uv: Returns where uv is and its version.
    """

    root: Path = machine.ROOT
    library: Callable[[str], Any] = CDLL
    free_disk: Callable[[Path], int] = machine.free_disk
    writable: Callable[[Path], bool] = _writable
    index: Callable[[Workspace], str | None] = ask_index
    link: Callable[[Path, Path], None] = os.link
    uv: Callable[[Workspace], str] = ask_uv


def check_installation(
    workspace: Workspace, *, offline: bool = False, ports: Ports | None = None
) -> Report:
    """Check everything that jobs stand on.

    Args:
        workspace: The user's.
        offline: Whether the package index is left alone.
        ports: What the outside world is asked through.
    """
    ports = ports or Ports()
    checks = (_interpreters, _uv, _home, _cache, _environments, _sockets, _devices, _memory)
    results = [each for check in checks for each in check(workspace, ports)]
    results += _manifests(workspace)
    results.append(_fact(f"package index: {_index(workspace, ports, offline=offline)}"))
    return Report.of("this installation", "", results)


def _fact(text: str) -> Fact:
    return Fact(Layer.INSTALLATION, text)


def _interpreters(workspace: Workspace, _: Ports) -> Results:
    interpreters = workspace.environments.targets.interpreters
    versions = dict.fromkeys(one.interpreter.version for one in interpreters.found)
    yield _fact(f"interpreters: {listed(versions) or 'none'}")
    wanted = {
        each.name: each.manifest.environment.python for each in workspace.catalog.models.values()
    }
    unfit = [
        f"{name} ({python})" for name, python in wanted.items() if not interpreters.fitting(python)
    ]
    if unfit:
        yield rule("no-interpreter").matched(models=listed(unfit))


def _uv(workspace: Workspace, ports: Ports) -> Results:
    try:
        yield _fact(f"uv: {ports.uv(workspace)}")
    except (MMError, OSError) as error:
        yield rule("no-uv").matched(error=error)


def _home(workspace: Workspace, ports: Ports) -> Results:
    home = workspace.home.root
    existing = _existing(home)
    free = ports.free_disk(existing)
    yield _fact(f"MM_HOME: {home}, {format_size(free)} free")
    if not ports.writable(existing):
        yield rule("home-read-only").matched(home=home)
    if free < LOW_DISK:
        yield rule("disk").matched(home=home, free=format_size(free))


def _cache(workspace: Workspace, ports: Ports) -> Results:
    from orchestrator.environments.disk import cache_directory, links_refused

    cache, home = cache_directory(workspace.variables), workspace.home.environments
    refused = None
    if cache.is_dir() and home.is_dir():
        refused = links_refused(cache, home, ports.link)
    elif _existing(cache).stat().st_dev != _existing(home).stat().st_dev:
        refused = "it is on another file system"
    if refused is None:
        yield _fact(f"uv's cache: {cache}, shares files with MM_HOME")
    else:
        yield rule("cache-links").matched(cache=cache, home=workspace.home.root, reason=refused)


def _environments(workspace: Workspace, _: Ports) -> Results:
    from orchestrator.environments.store import interpreter_works

    stored = workspace.environments.store.all()
    unfinished = [each.path for each in stored if each.marker is None]
    alone = [each.path for each in stored if each.marker and not interpreter_works(each.path)]
    yield _fact(f"environments: {len(stored) - len(unfinished) - len(alone)} built")
    for name, paths in (("unfinished", unfinished), ("no-python", alone)):
        if paths:
            evidence = (Evidence(str(path)) for path in paths)
            names = listed(path.name for path in paths)
            yield rule(name).matched(*evidence, count=len(paths), names=names)


def _sockets(workspace: Workspace, _: Ports) -> Results:
    from orchestrator.client.runtime import look_at_runtime_directory

    try:
        runtime = look_at_runtime_directory(workspace.variables)
    except MMError as error:
        yield rule("sockets").matched(error=error)
        return
    if runtime is None:
        yield _fact("sockets: the directory will be made at the first run")
        return
    dead = runtime.dead()
    live = sum(1 for _ in runtime.path.glob("*.json")) - len(dead)
    yield _fact(f"sockets: {runtime.path}, {live} live workers")
    if dead:
        yield rule("stale-workers").matched(
            *(Evidence(str(runtime.record(record.id))) for record in dead),
            count=len(dead),
            models=listed(sorted({record.model for record in dead})),
        )


def _devices(workspace: Workspace, ports: Ports) -> Results:
    has = features(ports.root)
    named = [name for flag, name in INSTRUCTIONS.items() if flag in has]
    yield _fact(", ".join([f"processor: {cores(ports.root)} cores", *named]))
    found = find_devices(workspace.variables, ports.root, ports.library)
    for device in found.devices:
        if device.problem:
            yield rule("gpu").matched(device=device.kind, problem=device.problem)
        else:
            yield _fact(f"{device.name}: {', '.join(_described(device, found, ports))}")
    for kind, why in found.absent.items():
        yield _fact(f"no {kind}: {why}")


def _described(device: Device, found: Machine, ports: Ports) -> Iterator[str]:
    """Yield what is known of a device, in words."""
    yield device.label
    if device.kind == "cuda":
        has = f"{format_size(device.memory or 0, binary=True)} of memory"
        has += "" if device.pool else " that it shares with the machine"
        free = gpus.free_memory(device.pool, ports.library) if device.pool else None
        yield f"{has}, {format_size(free, binary=True)} free" if free is not None else has
        if device.capability is not None:
            yield f"compute capability {device.capability[0]}.{device.capability[1]}"
        if found.cuda is not None:
            yield f"a driver for CUDA {found.cuda[0]}.{found.cuda[1]}"
    fast = [dtype for dtype in ("bfloat16", "float16") if dtype in device.native]
    yield f"fast in {' and '.join(['float32', *fast])}"
    if device.kind == "mps":
        yield "for --device auto after mm doctor MODEL --run --device mps"


def _memory(_: Workspace, ports: Ports) -> Results:
    total, free = machine.total_memory(ports.root), machine.free_memory(ports.root)
    physical = machine.physical_memory(ports.root)
    left = format_size(free, binary=True) if free is not None else "an unknown amount"
    limit = ""
    if total < physical:
        has = format_size(physical, binary=True)
        limit = f" (a control group's limit; the machine has {has})"
    yield _fact(f"memory: {format_size(total, binary=True)}{limit}, {left} free")
    kills = machine.memory_kills(ports.root)[1]
    if kills:
        yield rule("memory-kills").matched(count=kills)


def _manifests(workspace: Workspace) -> Results:
    yield _fact(f"models: {listed(workspace.catalog.models, 20)}")
    for broken in workspace.catalog.broken.values():
        yield rule("manifest").matched(Evidence(str(broken.file)), error=broken.error)


def _index(workspace: Workspace, ports: Ports, *, offline: bool) -> str:
    if offline:
        return "not asked (--offline)"
    problem = ports.index(workspace)
    return f"not reached ({problem}); what is built goes on working" if problem else "answers"


def _existing(path: Path) -> Path:
    return next(each for each in (path, *path.parents) if each.exists())
