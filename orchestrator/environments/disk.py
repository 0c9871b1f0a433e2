"""What environments cost: room on the disk, full copies of the cache, packages for absent GPUs.

What a build takes is said before it, and refused where the disk lacks the room.
"""

from __future__ import annotations

import errno
import os
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.backends.installed import installed, recorded_files
from orchestrator.core.units import format_size
from orchestrator.environments.sizes_file import total
from orchestrator.errors import EnvironmentFailure
from orchestrator.system.device_discovery import drivers
from orchestrator.system.home import read_json, write_json
from orchestrator.system.machine import free_disk
from orchestrator.system.processes import ProcessError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from orchestrator.backends.resolver import Resolver
    from orchestrator.environments.sizes_file import WheelSize
    from orchestrator.environments.targets import Target
    from orchestrator.system.home import Home
    from orchestrator.system.reporter import Reporter

MARGIN = 64 << 20
"""Bytes that stay free: bytecode, and what else writes meanwhile."""

_WORTH_SAVING = 100_000_000
"""Bytes of packages for a GPU that are worth a line."""

_UNCACHED = re.compile(r"Identified uncached distribution: (\S+)==", re.ASCII)


def announce(targets: Sequence[Target], reporter: Reporter) -> None:
    """Say what building each of `targets` may fetch and take, where it is known."""
    for target in targets:
        if sizes := target.sizes():
            size = total(sizes, target.packages)
            reporter.note(
                f"building the environment of {target.model}: {len(target.pins)} packages, "
                f"up to {format_size(size.download)} to download, {format_size(size.disk)} on disk"
            )


def check_room(
    targets: Sequence[Target],
    directory: Path,
    missing: Callable[[Target], frozenset[str] | None],
    free: Callable[[Path], int] = free_disk,
) -> None:
    """Refuse to build what the disk cannot hold.

    Args:
        targets: What is to be built.
        directory: Where environments are built.
        missing: Returns which packages of a target are not unpacked on that disk already; None
            when that cannot be known, and then the disk is not judged. Asked only when room is
            short.
        free: Returns how many bytes are free; a port for tests.

    Raises:
        EnvironmentFailure: When it is too small, with the figures.
    """
    there = free(directory)
    room = there - MARGIN
    whole = _together([(target, frozenset(target.packages)) for target in targets])
    if whole <= room or not whole:  # it fits, or its size is not known
        return
    absent = [(target, missing(target)) for target in targets]
    needed = _together([(target, packages or frozenset()) for target, packages in absent])
    if needed <= room or not needed or any(packages is None for _, packages in absent):
        return
    names = ", ".join(target.model for target in targets)
    raise EnvironmentFailure(
        f"building {names} takes {format_size(needed)}, and the disk has {format_size(there)} free",
        where=str(directory),
        fix="free some space (mm env prune), or set MM_HOME to a larger disk",
    )


def _together(chosen: Sequence[tuple[Target, frozenset[str]]]) -> int:
    """Return the bytes on disk of the chosen packages; one that several share counts once."""
    found: dict[tuple[str, str], WheelSize] = {}
    for target, packages in chosen:
        sizes, versions = target.sizes(), target.packages
        found.update({(name, versions[name]): sizes[name] for name in packages & sizes.keys()})
    return sum(size.disk for size in found.values())


def uncached(resolver: Resolver, target: Target, *, offline: bool) -> frozenset[str] | None:
    """Return the packages of `target` that uv's cache lacks, or None when uv cannot tell."""
    pins = [pin for pin in target.pins if pin.name not in target.environment.build]
    command = ["install", "--requirements", "requirements.txt", "--verbose", "--no-deps"]
    try:
        log = resolver.try_install(pins, *command, *(["--offline"] if offline else []))
    except ProcessError:
        return None  # the build will say why, in uv's own words
    if "Would download" not in log:
        return frozenset()
    return frozenset(_UNCACHED.findall(log)) or frozenset(target.packages)


def cache_directory(variables: Mapping[str, str]) -> Path:
    """Return uv's cache, as uv finds it on Linux and macOS."""
    if variables.get("UV_CACHE_DIR"):
        return Path(variables["UV_CACHE_DIR"]).expanduser().absolute()
    base = variables.get("XDG_CACHE_HOME")
    home = Path(variables.get("HOME") or Path.home())
    return (Path(base) if base else home / ".cache") / "uv"


def links_refused(
    cache: Path, home: Path, link: Callable[[Path, Path], None] = os.link
) -> str | None:
    """Return why files of `cache` cannot be linked into `home`, or None when they can.

    Tried with a file of our own. Where links are refused, every environment silently takes a full
    copy of everything.

    Args:
        cache: uv's cache; made when it is missing, as uv would.
        home: Where environments are built.
        link: Makes a hard link; a port for tests.
    """
    try:
        cache.mkdir(parents=True, exist_ok=True)
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(prefix=".mm-link-", dir=cache) as source:
            target = home / Path(source.name).name
            link(Path(source.name), target)
            target.unlink()
    except OSError as error:
        if error.errno == errno.EXDEV:
            return "it is on another file system"
        if error.errno in (errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS):
            return "its file system refuses links"
        # A cache or home that cannot be written is reported by what writes there for good.
        return None
    return None


def note_full_copies(home: Home, variables: Mapping[str, str], reporter: Reporter) -> bool:
    """Return whether environments can share no files with uv's cache, and note why."""
    cache = cache_directory(variables)
    reason = links_refused(cache, home.environments)
    if reason is not None:
        reporter.note(
            f"every environment takes a full copy of its packages: uv's cache {cache} cannot "
            f"share files with {home.root}, because {reason}; set UV_CACHE_DIR (or MM_HOME) to a "
            "directory on the same file system"
        )
    return reason is not None


def note_gpu_packages(home: Home, target: Target, directory: Path, reporter: Reporter) -> None:
    """Note, once, what a CPU build would save on a machine without an NVIDIA GPU.

    Args:
        home: `MM_HOME`, which keeps that it was noted.
        target: What was built.
        directory: Where.
        reporter: Receives the note.
    """
    if drivers():
        return
    wasted = _gpu_only_bytes(directory, target.sizes())
    if wasted > _WORTH_SAVING and first_time(home, "cpu-build"):
        reporter.note(
            f"{format_size(wasted)} of the environment of {target.model} serve NVIDIA GPUs, and "
            "there is none here; a CPU build saves them: "
            f"mm env lock --mine {target.model} --torch cpu"
        )


def _gpu_only_bytes(directory: Path, sizes: Mapping[str, WheelSize]) -> int:
    if sizes:
        return sum(size.disk for name, size in sizes.items() if _for_gpus(name))
    return sum(
        recorded.size or 0
        for name, package in installed(directory).items()
        if _for_gpus(name)
        for recorded in recorded_files(package)
    )


def _for_gpus(name: str) -> bool:
    return name.startswith("nvidia-") or name == "triton"


def first_time(home: Home, subject: str) -> bool:
    """Return whether `subject` was never noted in this home, and keep that it is noted now."""
    file = home.root / "notices.json"
    kept = read_json(file)
    known = [one for one in kept if isinstance(one, str)] if isinstance(kept, list) else []
    if subject in known:
        return False
    write_json(file, [*known, subject])
    return True
