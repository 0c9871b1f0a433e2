"""`mm model`: which models there are, and what each declares."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from orchestrator.cli.context import Context, pass_context

if TYPE_CHECKING:
    from orchestrator.catalog import Declared


@click.group()
def command() -> None:
    """Show the models."""


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_context
def list_models(context: Context, *, as_json: bool) -> None:
    """List the models of the manifests in use."""
    models = context.catalog.models.values()
    if as_json:
        context.out(json.dumps([_row(declared) for declared in models], ensure_ascii=False))
        return
    widths = [
        max((len(cell) for cell in column), default=0)
        for column in zip(*([each.name, each.manifest.task] for each in models), strict=True)
    ]
    for declared in models:
        manifest = declared.manifest
        cells = [manifest.name, manifest.task]
        line = "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        context.out(f"{line}  {manifest.summary}")
    for problem in context.catalog.problems:
        context.say(problem)


@command.command("show")
@click.argument("model")
@pass_context
def show(context: Context, model: str) -> None:
    """Show what MODEL declares, as JSON, and where."""
    import msgspec

    declared = context.catalog.model(model)
    document = {
        **_row(declared),
        "file": str(declared.file),
        "runner": str(declared.runner),
        "lock": str(declared.lock),
        "manifest": msgspec.to_builtins(declared.manifest),
    }
    context.out(json.dumps(document, ensure_ascii=False, indent=2))


def _row(declared: Declared) -> dict[str, str]:
    manifest = declared.manifest
    return {
        "name": manifest.name,
        "task": manifest.task,
        "origin": declared.origin.value,
        "license": manifest.license,
        "summary": manifest.summary,
    }
