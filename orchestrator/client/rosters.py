"""Which workers a session has on which nodes: a file that `mm ps` reads, without asking Ray."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any

from orchestrator.client.supervisors import is_alive, start_time
from orchestrator.core.canonical import canonical_bytes
from orchestrator.system.home import read_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from orchestrator.client.runtime import RuntimeDirectory

SUFFIX = ".nodes"


class Roster:
    """The file of one session.

    Args:
        runtime: Where it lies, beside the records of workers.
    """

    def __init__(self, runtime: RuntimeDirectory) -> None:
        self._path = runtime.path / f"{runtime.new_id()}{SUFFIX}"
        self._owner = {"pid": os.getpid(), "started": start_time(os.getpid())}

    def write(self, workers: Iterable[Mapping[str, Any]]) -> None:
        """Write what is known of the workers now; no job depends on it."""
        temporary = self._path.with_suffix(".new")
        with contextlib.suppress(OSError):
            temporary.write_bytes(canonical_bytes({**self._owner, "workers": list(workers)}))
            temporary.replace(self._path)

    def close(self) -> None:
        """Remove the file."""
        with contextlib.suppress(OSError):
            self._path.unlink()


def rosters(runtime: RuntimeDirectory) -> Iterator[dict[str, Any]]:
    """Yield the workers on nodes of live sessions; remove the files of dead ones."""
    for path in sorted(runtime.path.glob(f"*{SUFFIX}")):
        found = read_json(path)
        if isinstance(found, dict) and is_alive(found.get("pid", 0), found.get("started", "")):
            yield from found.get("workers", ())
        else:
            with contextlib.suppress(OSError):
                path.unlink()
