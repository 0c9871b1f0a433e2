"""What every command receives: the user's workspace and the sinks for text."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import click

from orchestrator.cli.columns import columns
from orchestrator.cli.progress import TerminalReporter
from orchestrator.cli.terminal import write_result
from orchestrator.system.home import json_line
from orchestrator.workspace import Workspace

JSON_VERSION = 1
"""The version of the objects of `--json`."""


def _reporter() -> TerminalReporter:
    return TerminalReporter(sys.stderr)


@dataclass
class Context(Workspace):
    """One run of `mm`. Results go through `out`, everything else through `say`.

    Attributes:
        failure: What the command's JSON has in addition when the command fails.
        json_printed: Whether it has printed its JSON object.
    """

    reporter: TerminalReporter = field(default_factory=_reporter)
    debug: bool = False
    quiet: bool = False
    failure: dict[str, Any] = field(default_factory=dict)
    json_printed: bool = False

    @cached_property
    def standard_input(self) -> bytes:
        """All that standard input holds; it is read once."""
        return sys.stdin.buffer.read()

    @property
    def input_read(self) -> bool:
        """Whether standard input has been read."""
        return "standard_input" in self.__dict__

    def out(self, text: str) -> None:
        """Write a result and a newline to standard output."""
        write_result(f"{text}\n")

    def out_json(self, document: Mapping[str, Any]) -> None:
        """Write one JSON object, after its version, and a newline to standard output."""
        self.json_printed = True
        write_result(json_line({"version": JSON_VERSION, **document}) + b"\n")

    def table(self, rows: Sequence[Sequence[str]]) -> None:
        """Write a line for each row to standard output, with columns that line up."""
        for line in columns(rows):
            self.out(line)

    def say(self, text: str) -> None:
        """Write a line that is not a result to standard error, once."""
        self.reporter.note(text)

    def be_quiet(self) -> None:
        """Print no notes and no progress from now on: results and errors alone."""
        self.quiet = self.reporter.quiet = True

    def close(self) -> None:
        """Remove the progress display from the terminal."""
        self.reporter.close()


pass_context = click.make_pass_decorator(Context)
