"""`mm use`: which model stands for a task instead of the preferred one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orchestrator.cli.context import Context, pass_context
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from click.shell_completion import CompletionItem


def _complete(
    ctx: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    catalog = ctx.ensure_object(Context).catalog
    names: Sequence[str]
    if parameter.name == "task":
        names = list(catalog.tasks)
    else:
        names = [each.name for each in catalog.tasks.get(ctx.params.get("task", ""), ())]
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


@click.command()
@click.argument("task", required=False, shell_complete=_complete)
@click.argument("model", required=False, shell_complete=_complete)
@click.option("--clear", is_flag=True, help="Return to the preferred model.")
@pass_context
def command(context: Context, task: str | None, model: str | None, *, clear: bool) -> None:
    """Choose the MODEL that stands for TASK; without both, list what is chosen."""
    if task is None:
        if clear:
            raise UsageError("--clear needs a task", fix="write mm use TASK --clear")
        _list(context)
    elif clear:
        if model is not None:
            raise UsageError("--clear takes no model", fix=f"write mm use {task} --clear")
        _clear(context, task)
    elif model is None:
        context.out(context.settings.uses.get(task) or _by_preference(context, task))
    else:
        _choose(context, task, model)


def _list(context: Context) -> None:
    uses = context.settings.uses
    for task in sorted({*context.catalog.tasks, *uses}):
        context.out(f"{task}: {uses.get(task) or _by_preference(context, task)}")


def _by_preference(context: Context, task: str) -> str:
    names = [each.name for each in context.catalog.task(task)]
    ready = "ready and speaks the text" if context.candidates(task) else "ready"
    return f"not chosen; the first that is {ready} of {', '.join(names)}"


def _choose(context: Context, task: str, model: str) -> None:
    from orchestrator.system.settings import update_settings

    context.catalog.task(task)
    declared = context.catalog.model(model)
    if declared.manifest.task != task:
        names = ", ".join(each.name for each in context.catalog.task(task))
        raise UsageError(
            f"{model} is a model of the task {declared.manifest.task}, not {task}",
            fix=f"choose from {names}",
        )
    update_settings(context.home, lambda settings: settings.using(task, model))
    context.say(f"{task} is {model} from now on")


def _clear(context: Context, task: str) -> None:
    from orchestrator.system.settings import update_settings

    if task not in context.settings.uses:
        context.catalog.task(task)  # says so when there is no such task
    update_settings(context.home, lambda settings: settings.using(task, None))
    context.say(f"{task} is left to preference")
