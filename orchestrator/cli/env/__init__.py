"""`mm env`: lock, build, list and explain the models' environments. One module per few commands."""

from __future__ import annotations

from importlib import import_module

import click

COMMANDS = {
    "lock": ("locking", "Resolve dependencies into locks with hashes, or prove the locks"),
    "sync": ("building", "Make what is built equal what is declared"),
    "list": ("listing", "Show every environment, its size and its state"),
    "check": ("checking", "Say what is wrong with environments"),
    "path": ("listing", "Print the directory of a model's environment"),
    "exec": ("executing", "Run a command inside a model's environment"),
    "why": ("explaining", "Say why two models have two environments"),
    "tree": ("explaining", "Show who asks for which package"),
    "remove": ("removing", "Remove environments"),
    "prune": ("removing", "Remove the environments that no model needs"),
}
"""Every command with the module that defines it and its help, so that help imports none."""


class EnvironmentCommands(click.Group):
    """A group that imports a command's module when the command is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of `COMMANDS`."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module that defines `cmd_name` and return its command."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"orchestrator.cli.env.{COMMANDS[cmd_name][0]}")
        found = getattr(module, f"{cmd_name}_command")
        assert isinstance(found, click.Command)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group("env", cls=EnvironmentCommands)
def command() -> None:
    """Lock, build, list and explain the models' environments."""
