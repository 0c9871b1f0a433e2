"""Every error that `mm` raises on purpose, each with its exit code.

An error says what is wrong, where, and the next command. Library code raises and never exits;
`orchestrator.cli` alone turns an error into text and an exit code.
"""

from __future__ import annotations

from typing import ClassVar

from orchestrator.redaction import redacted

WINDOWS = "mm runs on Linux and macOS; on Windows, install WSL2 (wsl --install) and run mm in there"


class Detail(Exception):
    """What a worker or a tool said, in the traceback of a program, above the error that it led to.

    Standard libraries show what happened in another process in this form as well.
    """

    def __str__(self) -> str:
        return f'\n"""\n{self.args[0].rstrip()}\n"""'


class MMError(Exception):
    """The root of the project's errors. What it says holds no credentials, whatever it is given.

    Args:
        what: What is wrong, in one clause, without a full stop.
        where: The file, line, key or path at fault; empty where `what` names it.
        fix: The next command or action; empty where there is none.
        detail: The words of a tool beneath us, whole and unchanged.
        fix_in_code: What a program is advised instead, where `fix` names options of the command
            line; empty for nothing.

    Attributes:
        retry_after: Seconds until a worker that could not be started is tried again; 0 for every
            other error.
    """

    exit_code: ClassVar[int] = 1
    outcome: ClassVar[str] = "failed"
    """How a job that ends with this error is said to have ended."""

    def __init__(
        self,
        what: str,
        *,
        where: str = "",
        fix: str = "",
        detail: str = "",
        fix_in_code: str | None = None,
    ) -> None:
        self.what = redacted(what)
        self.where = redacted(where)
        self.fix = redacted(fix)
        self.detail = redacted(detail)
        self.fix_in_code = None if fix_in_code is None else redacted(fix_in_code)
        self.retry_after = 0.0
        super().__init__(self.what)

    def address_program(self) -> None:
        """Advise what a program can do, and show `detail` in its traceback."""
        if self.fix_in_code is not None:
            self.fix = self.fix_in_code
        if self.detail:
            self.__cause__ = Detail(self.detail)

    def __str__(self) -> str:
        sentence = f"{self.where}: {self.what}" if self.where else self.what
        return f"{sentence}; {self.fix}" if self.fix else sentence


class UsageError(MMError):
    """The command, an option or an input is wrong."""

    exit_code = 2
    outcome = "rejected"


class ManifestError(MMError):
    """A manifest, a manifest directory or a setting cannot be used."""

    exit_code = 2


class Rejected(MMError):
    """The runner found the input at fault."""

    exit_code = 2
    outcome = "rejected"


class EnvironmentFailure(MMError):
    """A lock, an interpreter or an environment cannot be made, used or trusted."""

    exit_code = 3


class SourceError(MMError):
    """A model's files are missing, changed or cannot be patched."""

    exit_code = 4


class MachineRefused(MMError):
    """The machine has no room, descriptors, processes or memory left for anything."""

    exit_code = 3


class PathRefused(MMError):
    """A path cannot be used: permissions, a read-only file system, a loop, a name too long."""

    exit_code = 2


class JobFailed(MMError):
    """The runner raised.

    `detail` holds the traceback of the runner's own interpreter.
    """

    exit_code = 1


class OutputError(MMError):
    """The runner returned what its manifest does not allow."""

    exit_code = 1


class Crashed(MMError):
    """The worker process ended before it answered.

    `detail` holds the end of its log.
    """

    exit_code = 5
    outcome = "crashed"


class TimedOut(MMError):
    """A load or a run passed its deadline and was stopped."""

    exit_code = 6
    outcome = "timed out"


class MemoryRefused(MMError):
    """The model does not fit into the memory that is free."""

    exit_code = 7
    outcome = "rejected"


class ItemsFailed(MMError):
    """Some items of a pipeline or a batch failed; `detail` has a paragraph for each.

    What succeeded is kept or was written.
    """

    exit_code = 1


class Cancelled(MMError):
    """The user or the caller stopped the job."""

    exit_code = 130
    outcome = "cancelled"
