"""`mm stop`: end workers now, busy or idle."""

from __future__ import annotations

import click

from orchestrator.cli.context import Context, pass_context
from orchestrator.errors import UsageError


@click.command()
@click.argument("models", metavar="[MODEL]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="End every worker.")
@pass_context
def command(context: Context, *, models: tuple[str, ...], everything: bool) -> None:
    """End the workers of MODEL and free their memory; running jobs are cancelled.

    Workers of a session (Python) are ended too; its next job starts another.
    """
    if bool(models) == everything:
        raise UsageError("name the models whose workers are to end", fix="or run: mm stop --all")
    live = list(context.runtime.records())
    known = {record.model for record in live}
    for name in models:
        if name not in known:
            context.catalog.model(name)  # an unknown name is an error, an idle model is none
            context.say(f"no worker of {name} is running")
    for record in live:
        if everything or record.model in models:
            record.foreign().end()
            context.runtime.forget(record.id, ending=False)
            context.say(f"stopped the worker of {record.model} (supervisor {record.supervisor})")
    if everything and not live:
        context.say("no worker is running")
