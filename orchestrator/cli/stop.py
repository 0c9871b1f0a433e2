"""`mm stop`: end workers now, busy or idle."""

from __future__ import annotations

import sys

import click

from orchestrator.cli.context import Context, pass_context
from orchestrator.core.units import counted
from orchestrator.errors import UsageError


@click.command()
@click.argument("models", metavar="[MODEL]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="End every worker of this MM_HOME.")
@pass_context
def command(context: Context, *, models: tuple[str, ...], everything: bool) -> None:
    """End the workers of MODEL and free their memory; running jobs are cancelled.

    Without MODEL, on a terminal, the workers are listed first. Workers of a session (Python) are
    ended too; its next job starts another.
    """
    if models and everything:
        raise UsageError("--all ends every worker", fix="name models, or give --all alone")
    own = context.own_workers()
    if not models and not everything:
        _ask(context, [record.model for record in own])
    live = list(context.runtime.records()) if models else own
    known = {record.model for record in live}
    for name in models:
        if name not in known:
            context.catalog.model(name)  # an unknown name is an error, an idle model is none
            context.say(f"no worker of {name} is running")
    for record in live:
        if not models or record.model in models:
            record.foreign().end()
            context.runtime.forget(record.id, ending=False)
            context.say(f"stopped the worker of {record.model} (supervisor {record.supervisor})")
    if not models:
        _say_what_is_left(context, ended=bool(live))


def _ask(context: Context, live: list[str]) -> None:
    """List the workers and ask whether to end them; without a terminal, refuse."""
    if not sys.stdin.isatty():
        raise UsageError("name the models whose workers are to end", fix="or run: mm stop --all")
    if live:
        context.say(f"live workers: {', '.join(live)}")
        click.confirm("End all of them?", abort=True, err=True)


def _say_what_is_left(context: Context, *, ended: bool) -> None:
    others = len(list(context.runtime.records())) - len(context.own_workers())
    if others > 0:
        context.say(f"{counted(others, 'worker')} of another MM_HOME left; mm stop MODEL ends them")
    elif not ended:
        context.say("no worker is running")
