"""`mm env list` and `mm env path`."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from orchestrator.cli.context import Context, pass_context

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.environments.inventory import Row


@click.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, sizes in bytes.")
@pass_context
def list_command(context: Context, *, as_json: bool) -> None:
    """Show every environment with its size and its state.

    SIZE counts each file once; FREED is what removing that environment alone would give back, as
    files that uv's cache or another environment links to stay on the disk.
    """
    from orchestrator.core.units import format_size
    from orchestrator.environments.inventory import take_inventory

    inventory = take_inventory(context.environments, context.catalog.models.values())
    if as_json:
        rows = [
            {**asdict(row), "path": str(row.path) if row.path else None} for row in inventory.rows
        ]
        context.out(
            json.dumps({"version": 1, "environments": rows, "total": inventory.total}, indent=2)
        )
        return
    table: list[Sequence[str]] = [
        ("MODEL", "PYTHON", "SIZE", "FREED", "STATE", "LAST USED"),
    ]
    table += [_cells(row) for row in inventory.rows]
    for line in columns(table):
        context.out(line)
    if any(row.path for row in inventory.rows):
        context.say(f"together {format_size(inventory.total)}, each file counted once")


@click.command("path")
@click.argument("model")
@pass_context
def path_command(context: Context, model: str) -> None:
    """Print the directory of the environment of MODEL."""
    from orchestrator.errors import EnvironmentFailure

    environment = context.environments.ready(context.catalog.model(model))
    if environment is None:
        raise EnvironmentFailure(f"{model} has no environment", fix=f"run: mm env sync {model}")
    context.out(str(environment.path))


def _cells(row: Row) -> tuple[str, ...]:
    from orchestrator.core.units import format_size

    built = row.path is not None
    name = ", ".join(row.models) or (row.path.name if row.path else "")
    return (
        name,
        row.python or "-",
        format_size(row.size) if built else "-",
        format_size(row.freed) if built else "-",
        f"{row.state}, your own lock" if row.mine else row.state,
        row.last_used.replace("T", " ").removesuffix("+00:00") or "-",
    )


def columns(table: Sequence[Sequence[str]]) -> list[str]:
    """Return the rows of a table with their columns lined up."""
    widths = [max(len(row[at]) for row in table) for at in range(len(table[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    ]
