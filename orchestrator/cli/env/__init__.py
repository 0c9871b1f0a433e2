"""`mm env`: lock, build, list and explain the models' environments. One module per few commands."""

from __future__ import annotations

import click

from orchestrator.cli.lazy import LazyGroup

COMMANDS = {
    "lock": (
        "Resolve dependencies into locks with hashes, or prove the locks",
        "locking:lock_command",
    ),
    "sync": ("Make what is built equal what is declared", "building:sync_command"),
    "list": ("Show every environment, its size and its state", "listing:list_command"),
    "check": ("Say what is wrong with environments", "checking:check_command"),
    "path": ("Print the directory of a model's environment", "listing:path_command"),
    "exec": ("Run a command inside a model's environment", "executing:exec_command"),
    "why": ("Say why two models have two environments", "explaining:why_command"),
    "tree": ("Show who asks for which package", "explaining:tree_command"),
    "remove": ("Remove environments", "removing:remove_command"),
    "prune": ("Remove the environments that no model needs", "removing:prune_command"),
}
"""Every command with its help and where it is."""


@click.group("env", cls=LazyGroup, package="orchestrator.cli.env", table=COMMANDS)
def command() -> None:
    """Lock, build, list and explain the models' environments."""
