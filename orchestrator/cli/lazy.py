"""A click group whose commands are imported when they are used."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Any

import click

from orchestrator.cli.group import Group
from orchestrator.errors import UsageError


class LazyGroup(Group):
    """A group that knows its commands by name and help, so that its own help imports none.

    Args:
        package: Where the modules of the commands are.
        table: For each command its help and where it is: "module:attribute" in `package`.
        elsewhere: For names that people know from other tools, the command that does it here.
        **settings: As for `click.Group`.
    """

    def __init__(
        self,
        *,
        package: str,
        table: Mapping[str, tuple[str, str]],
        elsewhere: Mapping[str, str] = MappingProxyType({}),
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self._package = package
        self._table = table
        self._elsewhere = elsewhere

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the table."""
        del ctx
        return list(self._table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module that defines `cmd_name` and return its command."""
        del ctx
        if cmd_name not in self._table:
            return None
        module, _, attribute = self._table[cmd_name][1].partition(":")
        found = getattr(import_module(f"{self._package}.{module}"), attribute)
        assert isinstance(found, click.Command)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, offering the nearest names for one that does not exist."""
        name = args[0]
        if name not in self._table and not name.startswith("-"):
            from orchestrator.core.names import did_you_mean

            here = self._elsewhere.get(name)
            hint = f"did you mean {here}?" if here else did_you_mean(name, self._table)
            raise UsageError(
                f"there is no command {name!r}", fix=hint or f"run: {ctx.command_path} --help"
            )
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (text, _) in self._table.items()])
