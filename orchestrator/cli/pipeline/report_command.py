"""`mm pipeline runs` and `mm pipeline report`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orchestrator.cli.context import Context, pass_context
from orchestrator.cli.path_type import GivenPath
from orchestrator.cli.terminal import write_result
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from orchestrator.pipelines.run_history import Run


@click.command("runs")
@pass_context
def runs_command(context: Context) -> None:
    """List the runs that are recorded, the latest first."""
    from orchestrator.pipelines.run_history import runs_in

    runs = runs_in(context.home.runs)
    context.table([(run.id, run.pipeline, _how(run)) for run in runs])
    if not runs:
        context.say("no run of a pipeline is recorded")


def _how(run: Run) -> str:
    """Return how a run ended, in a few words."""
    from orchestrator.core.units import format_elapsed

    counts = run.facts.get("counts")
    totals = {"done": 0, "kept": 0, "failed": 0}
    for each in counts.values() if isinstance(counts, dict) else ():
        for name in totals:
            totals[name] += each.get(name, 0)
    parts = [f"{number} {name}" for name, number in totals.items() if number]
    if run.ended is not None:
        parts.append(format_elapsed(run.ended - run.began))
    return f"{run.outcome.partition(':')[0]} ({', '.join(parts)})" if parts else run.outcome


@click.command("report")
@click.argument("run", required=False, default="")
@click.option(
    "-o",
    "--out",
    type=GivenPath(),
    metavar="FILE.html",
    help="Where the page goes.  [default: PIPELINE-RUN.html]",
)
@click.option(
    "--max-size",
    default="32 MB",
    show_default=True,
    metavar="SIZE",
    help="How much of images and sounds may go into the page.",
)
@click.option(
    "--items",
    type=click.IntRange(min=1),
    default=300,
    show_default=True,
    metavar="N",
    help="How many items of a list to show; failed ones come in addition.",
)
@pass_context
def report_command(context: Context, run: str, out: str | None, max_size: str, items: int) -> None:
    """Write one HTML page of RUN: its graph, its time, its items, what failed, its receipts.

    RUN is the id of a run or its beginning, or the name of a pipeline for its latest run. The
    default is the latest run of all. The page needs no network and no other file.
    """
    from orchestrator.cli.outputs import STANDARD_OUTPUT, check_writable, write_file
    from orchestrator.core.units import format_size, parse_size
    from orchestrator.pipelines.report.page import page
    from orchestrator.pipelines.report.page_view import PageLimits
    from orchestrator.pipelines.result_store import ResultStore
    from orchestrator.pipelines.run_history import find_run

    try:
        limits = PageLimits(parse_size(max_size), items)
    except ValueError as error:
        raise UsageError(str(error), where="--max-size", fix="write it as 32 MB") from error
    found = find_run(context.home.runs, run)
    path = out or f"{found.pipeline}-{found.id}.html"
    if path != STANDARD_OUTPUT:
        check_writable(path)
    data = page(found, ResultStore(context.home.results), limits)
    if path == STANDARD_OUTPUT:
        write_result(data)
        return
    write_file(path, data)
    context.say(f"run {found.id} of {found.pipeline}, {found.outcome}: {format_size(len(data))}")
    context.out(path)
