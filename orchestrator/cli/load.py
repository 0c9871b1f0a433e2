"""`mm load`: a kept worker with its model loaded, before its first job."""

from __future__ import annotations

import math
from typing import Any

import click

from orchestrator.cli import options as shared
from orchestrator.cli.context import Context, pass_context
from orchestrator.cli.interrupts import interrupts
from orchestrator.errors import UsageError


@click.command(
    params=[
        click.Argument(["name"], metavar="TASK|MODEL"),
        *shared.JOB,
        shared.KEEP_ALIVE,
        shared.FORCE,
        click.Option(
            ["--workers"],
            type=click.IntRange(1, 1024),
            default=1,
            metavar="N",
            help="How many workers have the model.  [default: 1]",
        ),
    ]
)
@pass_context
def command(context: Context, /, *, name: str, **options: Any) -> None:
    """Load a model into a worker that stays, so that the next job begins at once.

    A missing environment is built first. Workers that have the model already count, and stay as
    long from now on as --keep-alive says.
    """
    from orchestrator.cli.job_display import JobDisplay
    from orchestrator.engines import kept_engine
    from orchestrator.jobs.job import Job
    from orchestrator.session import Session
    from orchestrator.system.waiting import Deadline

    choice = context.choose(name, options["model"])
    if choice.reason:
        context.say(choice.reason)
    model, manifest = choice.declared.name, choice.declared.manifest
    keep_alive = shared.keep_alive_seconds(options["keep_alive"], context.variables)
    if (manifest.keep_alive_seconds if keep_alive is None else keep_alive) == 0:
        raise UsageError(f"a worker of {model} would end at once", fix="add --keep-alive 10m")
    with (
        Session(workspace=context, engine=kept_engine) as session,
        interrupts() as cancellation,
    ):
        display = JobDisplay(context, choice.declared, session)
        job = Job(
            model,
            **shared.job_arguments(options),
            deadline=Deadline(options["timeout"] or math.inf),
            cancellation=cancellation,
            on_event=display.on_event,
            keep_alive=keep_alive,
            force=options["force"],
            workers=options["workers"],
        )
        try:
            session.load(job)
        finally:
            display.close()
    context.say(f"{model} is loaded")
