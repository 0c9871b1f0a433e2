"""The commands of `mm`, run in this process on directories of the test's own."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from orchestrator.cli import error_exit
from orchestrator.cli.context import Context
from orchestrator.cli.main import command
from tests.models import Notes


class Brief(Notes):
    """A reporter for commands that are too short for progress."""

    def close(self):
        pass

    def progress(self, key, text, done=0, total=0):
        raise AssertionError(f"progress of {key}: {text}")


@dataclass
class User:
    """Runs commands one after the other, each as a new process would see the files."""

    root: Path
    capsys: pytest.CaptureFixture
    notes: list = field(default_factory=list)

    def mm(self, *arguments, manifests=(), variables=None):
        """Run a command and return the lines of its standard output; `notes` has the others."""
        context = self._context(manifests, variables or {})
        self.capsys.readouterr()
        try:
            command.main(list(arguments), "mm", standalone_mode=False, obj=context)
        finally:
            self.notes = context.reporter.notes
            self.out = self.capsys.readouterr().out.splitlines()
        return self.out

    def fails(self, *arguments, manifests=()):
        """Run a command that fails, and return its exit code; `out` as above."""
        context = self._context(manifests, {})
        self.capsys.readouterr()
        try:
            command.main(list(arguments), "mm", standalone_mode=False, obj=context)
        except BaseException as error:  # noqa: BLE001 - as `main` does
            return error_exit.conclude(error, context, arguments)
        finally:
            self.out = self.capsys.readouterr().out.splitlines()

    def _context(self, manifests, variables):
        return Context(
            variables={
                "HOME": str(self.root / "home"),
                "MM_HOME": str(self.root / "mm-home"),
                **variables,
            },
            cwd=self.root / "project",
            manifests=tuple(manifests),
            reporter=Brief(),
        )


@pytest.fixture
def user(tmp_path, capsys):
    root = tmp_path.resolve()
    (root / "project").mkdir()
    return User(root, capsys)
