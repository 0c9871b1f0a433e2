"""A system that offers nothing of what `capabilities` looks for: the variant that tests force."""

import contextlib
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from orchestrator.client.launch import WORKER_PACKAGE
from orchestrator.system import darwin, sysctl
from orchestrator.worker import capabilities
from tests.portable.libc import Libc

NAMES = tuple(name for name in vars(capabilities) if name.isupper())


@contextlib.contextmanager
def taken_away() -> Iterator[None]:
    """Let this process find none of it in the body, and the calls of macOS instead."""
    replaced: list[tuple[ModuleType, str, object]] = [(capabilities, name, False) for name in NAMES]
    if capabilities.PEER_CREDENTIALS:
        from tests.portable import peer_option

        assert socket.socket.getsockopt is peer_option.getsockopt
    if capabilities.PROCESS_FILES:
        replaced.append((darwin, "library", Libc))
        replaced.append((sysctl, "_library", lambda: Libc().sysctlbyname))
    before = [(module, name, getattr(module, name)) for module, name, _ in replaced]
    try:
        for module, name, value in replaced:
            setattr(module, name, value)
        yield
    finally:
        for module, name, value in before:
            setattr(module, name, value)


def worker_package(directory: Path) -> Path:
    """Copy the worker's package to `directory`, for workers that find none of it."""
    shutil.copytree(WORKER_PACKAGE, directory, ignore=shutil.ignore_patterns("__pycache__"))
    module = directory / "capabilities.py"
    nothing = "".join(f"{name} = False\n" for name in NAMES)
    if capabilities.PEER_CREDENTIALS:
        shutil.copy(Path(__file__).with_name("peer_option.py"), directory)
        nothing += "from . import peer_option\n"
    module = directory / "capabilities.py"
    module.write_text(module.read_text(encoding="utf-8") + nothing, encoding="utf-8")
    return directory
