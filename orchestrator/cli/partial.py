"""What a job had streamed before it was stopped: joined, kept in files, and named."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.cli.outputs import STANDARD_OUTPUT, as_bytes, write_file
from orchestrator.home import make_private, write_atomically
from orchestrator.results import Artifact, Audio
from orchestrator.tidying import remove_oldest

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from orchestrator.cli.outputs import Destinations
    from orchestrator.home import Home

KEPT = 20
"""Files under `MM_HOME/partial`; the oldest go first."""


def save(
    model: str, chunks: Iterable[tuple[str, Any]], destinations: Destinations, home: Home
) -> list[str]:
    """Write what came of each output to a file and return the files' paths.

    Beside the path that the output was to have, with `.partial` before its suffix; in
    `MM_HOME/partial` for what was to be printed, and where such a file is there already.

    Args:
        model: The model's name.
        chunks: Pairs of an output's name and a part of it, in order.
        destinations: Where the outputs were to go.
        home: `MM_HOME`.
    """
    streamed: dict[str, list[Any]] = {}
    for name, value in chunks:
        streamed.setdefault(name, []).append(value)
    written = []
    for name, parts in streamed.items():
        data, suffix = _join(parts)
        planned = destinations.paths.get(name, STANDARD_OUTPUT)
        path = Path(planned)
        path = path.with_name(f"{path.stem}.partial{path.suffix}")
        if planned == STANDARD_OUTPUT or path.exists():
            path = _spare(home, f"{model}-{name}-{time.strftime('%Y%m%d-%H%M%S')}{suffix}")
            write_atomically(path, data, mode=0o600)
        else:
            write_file(str(path), data)
        written.append(str(path))
    return written


def _join(parts: Sequence[Any]) -> tuple[bytes, str]:
    """Return the parts as one file's bytes, and the suffix of its name."""
    if all(isinstance(part, str) for part in parts):
        return as_bytes("".join(parts)), ".txt"
    if all(isinstance(part, Audio) for part in parts):
        return Audio.joined(parts).read(), ".wav"
    last = parts[-1]
    if isinstance(last, Artifact):
        return last.read(), last.path.suffix
    if isinstance(last, memoryview) or hasattr(last, "dtype"):
        return as_bytes(last), ".npy"
    return as_bytes(list(parts)), ".json"


def _spare(home: Home, name: str) -> Path:
    home.prepare()
    make_private(home.partial)
    remove_oldest(home.partial.iterdir(), KEPT - 1)
    return home.partial / name
