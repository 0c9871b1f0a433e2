"""Hashes of files, which are read block by block."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from orchestrator.system.files import open_file

BLOCK = 1 << 20


def hash_file(path: Path, state: Any, progress: Callable[[int], None] = lambda _: None) -> Any:
    """Add the bytes of a file to a hash of `hashlib`, and return that.

    Args:
        path: The file.
        state: The hash so far.
        progress: Receives the bytes of each block.

    Raises:
        OSError: When it cannot be read.
    """
    with open_file(path) as stream:
        while block := stream.read(BLOCK):
            state.update(block)
            progress(len(block))
    return state


def sha256_of(path: Path, progress: Callable[[int], None] = lambda _: None) -> str:
    """Return the SHA-256 of a file in hexadecimal; the arguments are those of `hash_file`."""
    return str(hash_file(path, hashlib.sha256(), progress).hexdigest())
