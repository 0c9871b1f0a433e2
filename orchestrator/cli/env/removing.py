"""`mm env remove` and `mm env prune`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orchestrator.cli.context import Context, pass_context
from orchestrator.errors import EnvironmentFailure

if TYPE_CHECKING:
    from orchestrator.catalog import Declared


@click.command("remove")
@click.argument("models", nargs=-1, required=True)
@pass_context
def remove_command(context: Context, models: tuple[str, ...]) -> None:
    """Remove the environments of MODELS (or those of these directory names); never one in use."""
    from orchestrator.cli.env.choosing import stored_named
    from orchestrator.core.units import format_size
    from orchestrator.environments.removal import remove
    from orchestrator.environments.sizes import directory_size

    environments = context.environments
    for stored in stored_named(context.catalog, environments, models):
        freed = directory_size(stored.path).freed
        remove(environments.store, stored, environments.in_use)
        context.say(f"removed {stored.path}, which gave back {format_size(freed)}")


@click.command("prune")
@click.option("--dry-run", is_flag=True, help="Say what would be removed and do nothing.")
@pass_context
def prune_command(context: Context, *, dry_run: bool) -> None:
    """Remove the environments that no model of the catalogue needs, and unfinished ones.

    One that a worker uses stays, and so does that of a model whose manifest or lock is broken.
    """
    from orchestrator.core.units import format_size
    from orchestrator.environments.removal import prune, unneeded
    from orchestrator.environments.sizes import freed_together

    environments = context.environments
    needed: set[str] = set()
    unknown = set(context.catalog.broken)
    for declared in context.catalog.models.values():
        found = _needed(context, declared)
        needed |= found or set()
        if found is None:
            unknown.add(declared.name)
    leaving = unneeded(environments.store, needed, unknown)
    if dry_run:
        for stored in leaving:
            context.out(f"would remove {stored.path}")
        freed = freed_together(stored.path for stored in leaving)
        context.say(f"{len(leaving)} environments, {format_size(freed)}")
        return
    pruned = prune(environments.store, leaving, environments.in_use)
    for path in pruned.removed:
        context.say(f"removed {path}")
    context.say(f"{len(pruned.removed)} removed, {format_size(pruned.freed)} given back")
    if pruned.in_use:
        raise EnvironmentFailure(
            f"{len(pruned.in_use)} could not be removed", detail="\n".join(pruned.in_use)
        )


def _needed(context: Context, declared: Declared) -> set[str] | None:
    """Return the digests that a model needs, or None where its lock cannot tell."""
    try:
        return context.environments.needed(declared)
    except EnvironmentFailure as error:
        context.say(f"what was built for {declared.name} stays: {error.what}")
        return None
