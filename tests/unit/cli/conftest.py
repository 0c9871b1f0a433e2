"""The commands of `mm`, run in this process on directories of the test's own."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from orchestrator.cli.context import Context
from orchestrator.cli.main import command


class Lines:
    """A reporter that keeps its notes."""

    def __init__(self):
        self.notes = []

    def note(self, text):
        self.notes.append(text)

    def progress(self, key, text, done=0, total=0):
        raise AssertionError("these commands are too short for progress")

    def finish(self, key, text=""):
        raise AssertionError("these commands are too short for progress")


@dataclass
class User:
    """Runs commands one after the other, each as a new process would see the files."""

    root: Path
    capsys: pytest.CaptureFixture
    notes: list = field(default_factory=list)

    def mm(self, *arguments, manifests=(), variables=None):
        """Run a command and return the lines of its standard output; `notes` has the others."""
        lines = Lines()
        context = Context(
            variables={
                "HOME": str(self.root / "home"),
                "MM_HOME": str(self.root / "mm-home"),
                **(variables or {}),
            },
            cwd=self.root / "project",
            manifests=tuple(manifests),
            reporter=lines,
        )
        self.capsys.readouterr()
        try:
            command.main(list(arguments), "mm", standalone_mode=False, obj=context)
        finally:
            self.notes = lines.notes
            self.out = self.capsys.readouterr().out.splitlines()
        return self.out


@pytest.fixture
def user(tmp_path, capsys):
    root = tmp_path.resolve()
    (root / "project").mkdir()
    return User(root, capsys)
