"""`mm pipeline clean`."""

from __future__ import annotations

import click

from orchestrator.cli.context import Context, pass_context
from orchestrator.errors import UsageError


@click.command("clean")
@click.option("--older-than", metavar="TIME", help="Only what is older than this: 12h, 7d.")
@click.option("--dry-run", is_flag=True, help="Say what would be removed and do nothing.")
@pass_context
def clean_command(context: Context, older_than: str | None, *, dry_run: bool) -> None:
    """Remove finished steps, their files, and the records of runs; never while a pipeline runs."""
    from orchestrator.core.units import format_size, parse_duration
    from orchestrator.pipelines.result_cleanup import clean

    try:
        seconds = parse_duration(older_than) if older_than else 0.0
    except ValueError as error:
        raise UsageError(str(error)) from error
    removed = clean(context.home, seconds, dry_run=dry_run)
    would = "would remove" if dry_run else "removed"
    context.say(
        f"{would} {removed.steps} results and {removed.files} files, {format_size(removed.size)}"
    )
