"""The entry point of `mm`: global options and the table of commands."""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import click

from orchestrator.cli import error_exit
from orchestrator.cli.context import Context
from orchestrator.cli.lazy import LazyGroup
from orchestrator.cli.terminal import open_standard_streams, write_if_possible, write_result
from orchestrator.core.paths import working_directory
from orchestrator.errors import UsageError
from orchestrator.system.userenv import snapshot
from orchestrator.version import __version__

GARBAGE = 20_000
"""Objects created before Python looks for cycles; a short command keeps nearly all of its own."""

COMMANDS = {
    "run": ("Run a model on inputs and print or save what it makes", "run:command"),
    "book": (
        "Read a book aloud: scans, PDF, EPUB or text to sound with chapters",
        "book_command:command",
    ),
    "pipeline": ("Chain models and small steps, over one item or many", "pipeline:command"),
    "batch": ("Run a task over many files, one JSON line for each", "batch_command:command"),
    "env": ("Lock, build, list and explain the models' environments", "env:command"),
    "model": ("Show the models, and fetch, check and forget their weights", "model:command"),
    "patch": ("Show, check and apply the edits that a model's code needs", "patch:command"),
    "doctor": ("Say what is wrong, why, and how to fix it", "doctor:command"),
    "compare": (
        "Run one input through two models and show where they differ",
        "compare_command:command",
    ),
    "use": ("Choose the model that stands for a task", "use:command"),
    "manifest": (
        "Check manifests, print their schema, trust a directory of them",
        "manifest_command:command",
    ),
    "new": ("Write the skeleton of a model of your own", "new:command"),
    "completion": ("Print the completion script for a shell", "completion:command"),
    "mcp": ("Give the models to an agent as tools, over standard streams", "mcp_command:command"),
    "serve": ("Serve the models over HTTP, to applications", "serve_command:command"),
    "ps": ("Show the live workers", "ps:command"),
    "load": ("Load a model into a worker that stays for the next jobs", "load:command"),
    "stop": ("End workers and free their memory", "stop:command"),
    "logs": ("Print the output of a model's worker", "logs:command"),
    "uninstall": ("Show everything that mm keeps, and remove it", "uninstall:command"),
}
"""Every command with its help and its place."""

ELSEWHERE = {
    "pull": "mm model pull", "list": "mm model list", "ls": "mm model list",
    "images": "mm model list", "show": "mm model show", "rm": "mm model remove",
    "rmi": "mm model remove", "remove": "mm model remove", "create": "mm new", "init": "mm new",
    "sync": "mm env sync", "lock": "mm env lock", "install": "mm env sync", "build": "mm env sync",
    "exec": "mm env exec", "tree": "mm env tree", "prune": "mm env prune", "kill": "mm stop",
}  # fmt: skip
"""What users of ollama, uv and docker type, and the command that does it here."""


@click.group(
    cls=LazyGroup,
    package="orchestrator.cli",
    table=COMMANDS,
    elsewhere=ELSEWHERE,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="--manifests DIR (repeatable), --debug and -q (--quiet: results and errors alone) may "
    "stand before or after the command.",
)
@click.version_option(__version__, prog_name="mm", message="%(prog)s %(version)s")
def command() -> None:
    """Run machine-learning models whose Python dependencies contradict each other, side by side."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run `mm` with `arguments` (by default the process's own) and exit."""
    gc.set_threshold(GARBAGE)
    open_standard_streams()
    given = list(sys.argv[1:] if arguments is None else arguments)
    context = Context(variables=snapshot(), cwd=Path("/"))
    context.debug = context.variables.get("MM_DEBUG", "") not in ("", "0")
    code = 0
    try:
        context.cwd = working_directory()
        rest = take_global_options(given, context)
        result = command.main(args=rest, prog_name="mm", standalone_mode=False, obj=context)
        code = result if isinstance(result, int) else 0
        write_result("")
    except BaseException as error:  # noqa: BLE001 - the one place where every error ends
        code = error_exit.conclude(error, context, given)
    finally:
        context.close()
    for stream in (sys.stdout, sys.stderr):
        write_if_possible(stream)
    sys.exit(code)


def take_global_options(arguments: Sequence[str], context: Context) -> list[str]:
    """Take `--manifests DIR`, `--debug` and `--quiet` from anywhere before a `--`; return the rest.

    The commands of `mm run` come from manifests, so the directories must be known before click
    parses the command line.
    """
    rest: list[str] = []
    manifests: list[Path] = []
    words = iter(arguments)
    for word in words:
        if word == "--":
            rest += [word, *words]
        elif word == "--debug":
            context.debug = True
        elif word in ("-q", "--quiet") and rest[:2] != ["env", "exec"]:  # those go to a program
            context.be_quiet()
        elif word == "--manifests" or word.startswith("--manifests="):
            value = word.partition("=")[2] if "=" in word else next(words, "")
            if not value:
                raise UsageError("--manifests needs a directory", fix="write --manifests DIR")
            manifests.append(Path(value))
        else:
            rest.append(word)
    context.manifests = tuple(manifests)
    return rest
