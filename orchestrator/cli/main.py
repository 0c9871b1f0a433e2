"""The entry point of `mm`: global options, the table of commands, and how every error ends."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from orchestrator import __version__
from orchestrator.cli import failures
from orchestrator.cli.context import Context
from orchestrator.errors import UsageError
from orchestrator.userenv import snapshot

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS = {
    "run": "Run a model on inputs and print or save what it makes",
    "env": "Lock, build, list and explain the models' environments",
    "model": "Show the models",
    "use": "Choose the model that stands for a task",
    "manifest": "Check manifests, print their schema, trust a directory of them",
    "new": "Write the skeleton of a model of your own",
    "completion": "Print the completion script for a shell",
    "uninstall": "Show everything that mm keeps, and remove it",
}
"""Every command with its help, so that `mm --help` imports none of their modules."""


class Commands(click.Group):
    """A group that knows its commands' names and imports a command's module when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of `COMMANDS`."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module that defines `cmd_name` and return its `command`."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        command = import_module(f"orchestrator.cli.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, offering the nearest names for one that does not exist."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(name, COMMANDS, 2)
            hint = f"did you mean {' or '.join(near)}?" if near else "run: mm --help"
            raise UsageError(f"there is no command {name!r}", fix=hint)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="--manifests DIR (repeatable) and --debug may stand before or after the command.",
)
@click.version_option(__version__, prog_name="mm", message="%(prog)s %(version)s")
def command() -> None:
    """Run machine-learning models whose Python dependencies contradict each other, side by side."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run `mm` with `arguments` (by default the process's own) and exit."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    context = Context(variables=snapshot(), cwd=Path.cwd())
    context.debug = context.variables.get("MM_DEBUG", "") not in ("", "0")
    code = 0
    try:
        rest = take_global_options(given, context)
        result = command.main(args=rest, prog_name="mm", standalone_mode=False, obj=context)
        code = result if isinstance(result, int) else 0
        sys.stdout.flush()
    except BaseException as error:  # noqa: BLE001 - the one place where every error ends
        code = failures.conclude(error, context, given)
    finally:
        context.close()
    sys.exit(code)


def take_global_options(arguments: Sequence[str], context: Context) -> list[str]:
    """Take `--manifests DIR` and `--debug` from anywhere before a `--`; return the rest.

    The commands of `mm run` come from manifests, so that the directories must be known before the
    command line can be parsed by click.
    """
    rest: list[str] = []
    manifests: list[Path] = []
    words = iter(arguments)
    for word in words:
        if word == "--":
            rest += [word, *words]
        elif word == "--debug":
            context.debug = True
        elif word == "--manifests" or word.startswith("--manifests="):
            value = word.partition("=")[2] if "=" in word else next(words, "")
            if not value:
                raise UsageError("--manifests needs a directory", fix="write --manifests DIR")
            manifests.append(Path(value))
        else:
            rest.append(word)
    context.manifests = tuple(manifests)
    return rest
