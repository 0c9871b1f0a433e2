"""What a job streamed before it stopped: joined and kept in files."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from orchestrator.cli.outputs import STANDARD_OUTPUT, write_file
from orchestrator.jobs.output_files import is_binary, suffix_of, write_output
from orchestrator.jobs.results import Audio
from orchestrator.system.home import Home, make_private
from orchestrator.system.removal import remove_oldest

KEPT = 20
"""Files under `MM_HOME/partial`; the oldest go first."""


def save(
    model: str, chunks: Iterable[tuple[str, Any]], places: Mapping[str, str], home: Home
) -> list[str]:
    """Write the parts of each output to a file and return the files' paths.

    A file is beside the output's own place, with `.partial` before its suffix. It is in
    `MM_HOME/partial` when the output was for standard output, or when such a file exists.

    Args:
        model: The model's name.
        chunks: Pairs of an output's name and a part of it, in order.
        places: Where the outputs were to go.
        home: `MM_HOME`.
    """
    streamed: dict[str, list[Any]] = {}
    for name, value in chunks:
        streamed.setdefault(name, []).append(value)
    written = []
    for name, parts in streamed.items():
        whole = _join(parts)
        planned = places.get(name, STANDARD_OUTPUT)
        path = Path(planned)
        path = path.with_name(f"{path.stem}.partial{path.suffix}")
        if planned == STANDARD_OUTPUT or path.exists():
            when = time.strftime("%Y%m%d-%H%M%S")
            path = _spare(home, f"{model}-{name}-{when}{suffix_of(whole)}")
            write_output(path, whole, mode=0o600, ours=True)
        else:
            write_file(str(path), whole, ours=True)
        written.append(str(path))
    return written


def _join(parts: Sequence[Any]) -> Any:
    """Return the parts of one output as one value; of files and arrays the last."""
    if all(isinstance(part, str) for part in parts):
        return "".join(parts)
    if all(isinstance(part, Audio) for part in parts):
        return Audio.joined(parts)
    return parts[-1] if is_binary(parts[-1]) else list(parts)


def _spare(home: Home, name: str) -> Path:
    home.prepare()
    make_private(home.partial)
    remove_oldest(home.partial.iterdir(), KEPT - 1)
    return home.partial / name
