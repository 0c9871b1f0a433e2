"""A system that offers nothing of what `capabilities` looks for: the variant that tests force."""

import contextlib
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

from orchestrator.client.launch import WORKER_PACKAGE
from orchestrator.worker import capabilities

NAMES = tuple(name for name in vars(capabilities) if name.isupper())


@contextlib.contextmanager
def taken_away() -> Iterator[None]:
    """Let this process find none of it in the body."""
    from tests.portable import peer_option  # which answers one more option, and none otherwise

    assert socket.socket.getsockopt is peer_option.getsockopt
    before = {name: getattr(capabilities, name) for name in NAMES}
    try:
        for name in NAMES:
            setattr(capabilities, name, False)
        yield
    finally:
        for name, value in before.items():
            setattr(capabilities, name, value)


def worker_package(directory: Path) -> Path:
    """Copy the worker's package to `directory`, for workers that find none of it."""
    shutil.copytree(WORKER_PACKAGE, directory, ignore=shutil.ignore_patterns("__pycache__"))
    module = directory / "capabilities.py"
    shutil.copy(Path(__file__).with_name("peer_option.py"), directory)
    nothing = "from . import peer_option\n" + "".join(f"{name} = False\n" for name in NAMES)
    module.write_text(module.read_text(encoding="utf-8") + nothing, encoding="utf-8")
    return directory
