"""The commands for environments that are built: list, check, path, exec, remove, prune."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from orchestrator.cli.context import Context, pass_context
from orchestrator.core.units import format_size
from orchestrator.errors import EnvironmentFailure, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from orchestrator.catalog import Declared
    from orchestrator.environments.inventory import Row

_MISLEADING = frozenset(
    {"PYTHONHOME", "PYTHONPATH", "PYTHONSTARTUP", "PYTHONEXECUTABLE", "CONDA_PREFIX"}
)
"""Variables that would lead an environment's interpreter to other packages."""


@click.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, sizes in bytes.")
@pass_context
def list_rows(context: Context, *, as_json: bool) -> None:
    """Show every environment with its size and its state.

    SIZE counts each file once; FREED is what removing that environment alone would give back, as
    files that uv's cache or another environment links to stay on the disk.
    """
    from orchestrator.environments.inventory import size_of, take_inventory

    archives = size_of(context.home.archives).total
    inventory = take_inventory(context.environments, context.catalog.models.values())
    if as_json:
        rows = [
            {**asdict(row), "path": str(row.path) if row.path else None} for row in inventory.rows
        ]
        document = {
            "version": 1,
            "environments": rows,
            "total": inventory.total,
            "converted": size_of(*context.sources.conversions.directories()).total,
            "archives": archives,
        }
        context.out(json.dumps(document, indent=2))
        return
    headings = ("MODEL", "PYTHON", "SIZE", "FREED", "STATE", "LAST USED")
    context.table([headings, *map(_cells, inventory.rows)])
    if any(row.path for row in inventory.rows):
        context.say(f"together {format_size(inventory.total)}, each file counted once")
    for entry in context.sources.conversions.directories():
        context.say(f"and {format_size(size_of(entry).total)} of converted weights in {entry}")
    if archives:
        context.say(f"beside them, files of models from archives: {format_size(archives)}")


def _cells(row: Row) -> tuple[str, ...]:
    built = row.path is not None
    return (
        ", ".join(row.models) or (row.path.name if row.path else ""),
        row.python or "-",
        format_size(row.size) if built else "-",
        format_size(row.freed) if built else "-",
        f"{row.state}, your own lock" if row.mine else row.state,
        row.last_used.replace("T", " ").removesuffix("+00:00") or "-",
    )


@click.command("check")
@click.argument("models", nargs=-1)
@click.option("--full", is_flag=True, help="Read every file and compare its hash.")
@pass_context
def check(context: Context, models: tuple[str, ...], *, full: bool) -> None:
    """Say what is wrong with the environments of MODELS, or with any.

    One that is found broken counts as not built from then on: the next sync, or the next run,
    builds it anew.
    """
    from orchestrator.backends.toolenv import tool_variables
    from orchestrator.cli.env.choosing import stored_named
    from orchestrator.environments.health import unhealthy
    from orchestrator.system.waiting import Wait

    store = context.environments.store
    if models:
        chosen = stored_named(context.catalog, context.environments, models)
    else:
        chosen = list(store.all())
    variables = tool_variables(context.variables)
    broken = 0
    for stored in chosen:
        reason = unhealthy(store, stored.path, variables, full=full)
        context.out(f"{stored.path.name}: {reason or 'healthy'}")
        if reason is not None:
            broken += 1
            with Wait(stored.path.name, "another mm, which builds it", context.reporter) as wait:
                store.condemn(stored, wait.pause)
    if broken:
        # A file that was written in place is the cache's own as well.
        clean = "clean the changed packages out of uv's cache (uv cache clean PACKAGE), "
        raise EnvironmentFailure(
            f"{broken} of {len(chosen)} environments cannot be trusted",
            fix=f"{clean if full else ''}build them anew with: mm env sync; "
            "or remove them with: mm env prune",
        )


@click.command("path")
@click.argument("model")
@pass_context
def path(context: Context, model: str) -> None:
    """Print the directory of the environment of MODEL."""
    environment = context.environments.ready(context.catalog.model(model))
    if environment is None:
        raise EnvironmentFailure(f"{model} has no environment", fix=f"run: mm env sync {model}")
    context.out(str(environment.path))


@click.command("exec", context_settings={"ignore_unknown_options": True})
@click.argument("model")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@pass_context
def execute(context: Context, model: str, command: tuple[str, ...]) -> int:
    """Run COMMAND inside the environment of MODEL and pass its exit code on.

    The command comes after `--`. It sees your own variables, with the environment activated.
    """
    import shlex
    from shutil import which

    from orchestrator.system.processes import replace

    environment = context.environments.ensure(context.catalog.model(model))
    variables = activated(context.variables, environment.path)
    program = which(command[0], path=variables["PATH"])
    if program is None:
        raise UsageError(
            f"there is no program {command[0]!r} in the environment of {model} or on PATH",
            fix=f"see what there is: ls {shlex.quote(str(environment.path / 'bin'))}",
        )
    with environment.hold():
        context.close()
        return replace([program, *command[1:]], variables=variables, cwd=context.cwd)


def activated(variables: Mapping[str, str], directory: Path) -> dict[str, str]:
    """Return the user's `variables` with the environment in `directory` activated."""
    kept = {name: value for name, value in variables.items() if name not in _MISLEADING}
    path = variables.get("PATH", os.defpath)
    return {
        **kept,
        "VIRTUAL_ENV": str(directory),
        "PATH": os.pathsep.join((str(directory / "bin"), path)),
        "PYTHONNOUSERSITE": "1",
    }


@click.command("remove")
@click.argument("models", nargs=-1, required=True)
@pass_context
def remove(context: Context, models: tuple[str, ...]) -> None:
    """Remove the environments of MODELS (or those of these directory names); never one in use."""
    from orchestrator.cli.env.choosing import stored_named
    from orchestrator.environments import inventory

    for stored in stored_named(context.catalog, context.environments, models):
        freed = inventory.size_of(stored.path).freed
        inventory.remove(context.environments.store, stored)
        context.say(f"removed {stored.path}, which gave back {format_size(freed)}")


@click.command("prune")
@click.option("--dry-run", is_flag=True, help="Say what would be removed and do nothing.")
@pass_context
def prune(context: Context, *, dry_run: bool) -> None:
    """Remove the environments that no model of the catalogue needs, and unfinished ones.

    Converted weights that are unfinished, or from files that a model has no longer, go as well. An
    environment that a worker uses stays, and so does that of a model whose manifest or lock is
    broken.
    """
    from orchestrator.environments import inventory

    store = context.environments.store
    needed: set[str] = set()
    unknown = set(context.catalog.broken)
    for declared in context.catalog.models.values():
        found = _needed(context, declared)
        needed |= found or set()
        if found is None:
            unknown.add(declared.name)
    leaving = inventory.unneeded(store, needed, unknown)
    conversions = context.sources.unneeded_conversions()
    if dry_run:
        for path in (*(stored.path for stored in leaving), *conversions):
            context.out(f"would remove {path}")
        freed = inventory.size_of(*(stored.path for stored in leaving), *conversions).freed
        context.say(f"{len(leaving)} environments, {format_size(freed)}")
        return
    pruned = inventory.prune(store, leaving)
    freed = pruned.freed + inventory.size_of(*conversions).freed
    removed = [*pruned.removed, *filter(context.sources.conversions.prune, conversions)]
    for directory in removed:
        context.say(f"removed {directory}")
    context.say(f"{len(removed)} removed, {format_size(freed)} given back")
    if pruned.left:
        raise EnvironmentFailure(
            f"{len(pruned.left)} could not be removed", detail="\n".join(pruned.left)
        )


def _needed(context: Context, declared: Declared) -> set[str] | None:
    """Return the digests that a model needs, or None where its lock does not tell."""
    try:
        return context.environments.needed(declared)
    except EnvironmentFailure as error:
        context.say(f"what was built for {declared.name} stays: {error.what}")
        return None
