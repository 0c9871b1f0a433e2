"""A click group whose commands are the tasks and models of the manifests in use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orchestrator.cli.context import Context
from orchestrator.cli.group import Group
from orchestrator.cli.input_options import STANDARD_INPUT, read_text
from orchestrator.core.languages import LANGUAGE, TEXT, wanted
from orchestrator.errors import MMError

if TYPE_CHECKING:
    from orchestrator.workspace import ChosenModel


class TaskGroup(Group):
    """A group with a command for each task and each model."""

    def build(self, name: str, choice: ChosenModel) -> click.Command:
        """Return the command `name`, for the model that was chosen."""
        raise NotImplementedError

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the tasks, then the models."""
        catalog = ctx.ensure_object(Context).catalog
        return [*catalog.tasks, *catalog.models]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        """Return the command of a task or model."""
        context, model = ctx.ensure_object(Context), ctx.meta.get("mm.model")
        try:
            choice = context.choose(cmd_name, model, wanted(ctx.meta.get("mm.inputs", {})))
        except MMError:
            if not ctx.resilient_parsing:
                raise
            choice = context.choose(cmd_name, model)  # the shell completes an option all the same
        ctx.meta["mm.chosen"] = choice.declared.name
        command = self.build(cmd_name, choice)
        many = [each.manifest for each in context.candidates(cmd_name, model)]
        if len(many) > 1:
            spoken = (f"{each.name} ({', '.join(each.languages) or 'any'})" for each in many)
            command.help = f"{command.help}\n\nThe text chooses among {', '.join(spoken)}."
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Look ahead for what decides on the model, which decides which options there are."""
        context = ctx.ensure_object(Context)
        model = ctx.meta["mm.model"] = _value(args, "--model")
        if context.candidates(args[0], model):
            inputs = {name: _value(args, f"--{name}") for name in (TEXT, LANGUAGE)}
            if inputs[TEXT] == STANDARD_INPUT:
                reads = not ctx.resilient_parsing and "--help" not in args
                inputs[TEXT] = read_text(context, TEXT) if reads else None
            ctx.meta["mm.inputs"] = inputs
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List tasks and models with what they do."""
        catalog = ctx.ensure_object(Context).catalog
        with formatter.section("Tasks"):
            formatter.write_dl(
                [
                    (task, f"The preferred one of: {', '.join(each.name for each in many)}")
                    for task, many in catalog.tasks.items()
                ]
            )
        with formatter.section("Models"):
            formatter.write_dl(
                [(name, declared.manifest.summary) for name, declared in catalog.models.items()]
            )


def _value(args: list[str], option: str) -> str | None:
    """Return the value of an option that has not been parsed yet, or None."""
    found = None
    for index, word in enumerate(args):
        if word == "--":
            break
        if word == option and index + 1 < len(args):
            found = args[index + 1]
        elif word.startswith(f"{option}="):
            found = word.partition("=")[2]
    return found
