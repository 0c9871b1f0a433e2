"""`mm env`: lock, build, list and explain the models' environments."""

from __future__ import annotations

import click

from orchestrator.cli.lazy import LazyGroup

COMMANDS = {
    "lock": ("Resolve dependencies into locks with hashes, or check the locks", "lock:lock"),
    "wheel": ("Add a package that is on no index, as a wheel beside the lock", "wheel:wheel"),
    "sync": ("Make what is built equal what is declared", "sync:sync"),
    "list": ("Show every environment, its size and its state", "built:list_rows"),
    "check": ("Say what is wrong with environments", "built:check"),
    "path": ("Print the directory of a model's environment", "built:path"),
    "exec": ("Run a command inside a model's environment", "built:execute"),
    "why": ("Say why two models have two environments", "lock:why"),
    "tree": ("Show who asks for which package", "lock:tree"),
    "remove": ("Remove environments", "built:remove"),
    "prune": ("Remove the environments that no model needs", "built:prune"),
}
"""Every command with its help and where it is."""


@click.group("env", cls=LazyGroup, package="orchestrator.cli.env", table=COMMANDS)
def command() -> None:
    """Lock, build, list and explain the models' environments."""
