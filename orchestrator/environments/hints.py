"""What is worth a line once: packages for a GPU that is not there, and a cache that cannot link."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.backends.installed import installed, recorded_files
from orchestrator.home import read_json, write_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orchestrator.environments.expected import WheelSize
    from orchestrator.home import Home


def gpu_only_bytes(directory: Path, sizes: Mapping[str, WheelSize]) -> int:
    """Return the bytes of the packages in an environment that serve NVIDIA GPUs alone.

    Args:
        directory: The environment.
        sizes: What is known of its packages; where nothing is, their records are added up.
    """
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


def once(home: Home, subject: str) -> bool:
    """Return whether `subject` was never told from this home, and note that it is told now."""
    file = home.root / "told.json"
    told = read_json(file)
    known = [one for one in told if isinstance(one, str)] if isinstance(told, list) else []
    if subject in known:
        return False
    write_json(file, [*known, subject])
    return True


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
        # A cache or home that cannot be written is said by whoever writes there for good.
        return None
    return None
