"""What every command is given: the user's settings, the catalogue, the sinks for text."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import click

from orchestrator.home import Home, home_directory

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from orchestrator.catalog import Catalog
    from orchestrator.cli.progress import TerminalReporter
    from orchestrator.environments import Environments
    from orchestrator.settings import Settings


@dataclass
class Context:
    """One run of `mm`. Results go through `out`, everything else through `say`."""

    variables: Mapping[str, str]
    cwd: Path
    manifests: tuple[Path, ...] = ()
    debug: bool = False
    said: set[str] = field(default_factory=set)

    @cached_property
    def home(self) -> Home:
        """`MM_HOME`, its format checked."""
        home = home_directory(self.variables)
        home.check()
        return home

    @cached_property
    def settings(self) -> Settings:
        """What `mm use` and `mm manifest trust` have kept."""
        from orchestrator.settings import load_settings

        settings = load_settings(self.home)
        for note in settings.notes:
            self.say(note)
        return settings

    @cached_property
    def catalog(self) -> Catalog:
        """The merged manifests; what was ignored on the way is said once."""
        from orchestrator.catalog import load_catalog

        catalog = load_catalog(
            options=self.manifests,
            variables=self.variables,
            cwd=self.cwd,
            home=self.home,
            settings=self.settings,
        )
        for note in catalog.notes:
            self.say(note)
        return catalog

    @cached_property
    def reporter(self) -> TerminalReporter:
        """Progress on standard error: bars on a terminal, quiet lines elsewhere."""
        from orchestrator.cli.progress import TerminalReporter

        return TerminalReporter(sys.stderr)

    @cached_property
    def environments(self) -> Environments:
        """The environments under `MM_HOME`, with the default backend."""
        from orchestrator.environments import Environments

        return Environments(self.home, self.variables, self.reporter)

    def out(self, text: str) -> None:
        """Write a result and a newline to standard output."""
        click.echo(text)

    def say(self, text: str) -> None:
        """Write a line that is not a result to standard error, once."""
        if text in self.said:
            return
        self.said.add(text)
        if "reporter" in self.__dict__:
            self.reporter.note(text)
        else:
            click.echo(f"mm: {text}", err=True)

    def close(self) -> None:
        """Take the progress display off the terminal."""
        if "reporter" in self.__dict__:
            self.reporter.close()


pass_context = click.make_pass_decorator(Context)
