"""`mm pipeline list`, `show` and `check`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orchestrator.cli.context import Context, pass_context
from orchestrator.cli.path_type import GivenPath
from orchestrator.errors import ManifestError

if TYPE_CHECKING:
    from orchestrator.core.pipelines import Declaration


@click.command("list")
@pass_context
def list_command(context: Context) -> None:
    """List the pipelines with what they do."""
    from orchestrator.pipelines.pipeline_catalog import all_pipelines

    rows = []
    for name, each in all_pipelines(context).items():
        try:
            summary = each.read()[0].summary
        except ManifestError as error:
            summary = f"(broken: {error})"
        rows.append((name, summary))
    context.table(rows)


@click.command("show")
@click.argument("name", type=GivenPath())
@click.option("--set", "settings", multiple=True, metavar="STEP.KEY=VALUE", help="As for run.")
@pass_context
def show_command(context: Context, name: str, settings: tuple[str, ...]) -> None:
    """Draw the pipeline NAME, with the models that stand for its tasks here."""
    from orchestrator.cli.pipeline.step_settings import apply
    from orchestrator.core.pipelines.graph_text import draw
    from orchestrator.pipelines.pipeline_catalog import find, graph_of

    declaration, where = find(context, name).read()
    graph = graph_of(context, *apply(declaration, where, settings))
    if declaration.summary:
        context.out(f"{declaration.name}: {declaration.summary}\n")
    for line in draw(graph):
        context.out(line)
    for line in _inputs(declaration):
        context.out(line)


def _inputs(declaration: Declaration) -> list[str]:
    """Return a line for each input that has a help text."""
    from orchestrator.core.manifest import option_name

    lines = [
        f"--{option_name(name)}  {declared.help}"
        for name, declared in declaration.inputs.items()
        if declared.help
    ]
    return ["", *lines] if lines else []


@click.command("check")
@click.argument("names", metavar="[NAME|FILE]...", nargs=-1, type=GivenPath())
@pass_context
def check_command(context: Context, names: tuple[str, ...]) -> None:
    """Print every mistake of the given pipelines, or of all.

    One line for each, with its file, line and key; the exit code is 2 when there are any.
    """
    from orchestrator.core.units import counted
    from orchestrator.pipelines.pipeline_catalog import (
        all_pipelines,
        find,
        missing_packages,
        problems_of,
    )

    found = [find(context, name) for name in names] or list(all_pipelines(context).values())
    count = 0
    for each in found:
        try:
            declaration, where = each.read()
            problems = problems_of(context, declaration, where)[1]
            for missing in missing_packages(declaration):
                context.say(f"{each.name}: {missing}")
        except ManifestError as error:
            problems = [error]
        for problem in problems:
            context.out(str(problem))
        count += len(problems)
    checked = counted(len(found), "pipeline")
    if count:
        raise ManifestError(f"{counted(count, 'problem')} in {checked}")
    context.say(f"{checked}, no problem")
