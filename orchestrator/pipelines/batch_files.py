"""The directory beside a batch's lines: outputs that are files, and what made the results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchestrator.core.canonical import short
from orchestrator.core.refusals import remedy
from orchestrator.errors import UsageError
from orchestrator.jobs.output_files import write_output
from orchestrator.system.home import read_json

if TYPE_CHECKING:
    from collections.abc import Container, Mapping
    from pathlib import Path


class BatchFiles:
    """The files that belong to one file of lines; no other one has the same directory.

    Args:
        lines: The file of lines.
        names: The outputs that are files.
    """

    def __init__(self, lines: Path, names: Container[str] = ()) -> None:
        self.folder = lines.with_name(f"{lines.name}.files")
        self._names = names
        self._kept: set[str] = set()

    def keep(self, name: str, value: Any) -> str:
        """Write an output, which ends with its job, to a file; return its path as lines name it.

        Raises:
            UsageError: When it cannot be written.
        """
        path = self.folder / name
        try:
            self.folder.mkdir(exist_ok=True)
            write_output(path, value, ours=True)
        except OSError as error:
            raise UsageError(
                f"cannot be written ({error.strerror})",
                where=str(path),
                fix=remedy(error, "choose another -o"),
            ) from error
        return f"{self.folder.name}/{name}"

    def has_all(self, outputs: Mapping[str, Any]) -> bool:
        """Return whether the files that a line names are there."""
        return all(
            (self.folder.parent / str(value.get("path"))).is_file()
            for name, value in outputs.items()
            if name in self._names and isinstance(value, dict)
        )

    def keep_producer(self, receipt: Mapping[str, Any]) -> None:
        """Write what made a result, the part of its receipt before the inputs, once.

        Raises:
            UsageError: When it cannot be written.
        """
        identity = receipt.get("identity")
        if identity is not None and identity not in self._kept:
            self.keep(_producer_file(identity), receipt["produced_by"])
            self._kept.add(identity)

    def producer(self, identity: str) -> dict[str, Any] | None:
        """Return what made results, by its digest, which is in the lines; None where it is gone."""
        found = read_json(self.folder / _producer_file(identity))
        return found if isinstance(found, dict) else None


def _producer_file(identity: str) -> str:
    return f"receipt-{short(identity)}.json"
