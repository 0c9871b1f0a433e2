"""A click group whose commands are the tasks and models of the manifests in use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orchestrator.cli.context import Context
from orchestrator.cli.group import Group

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
        choice = ctx.ensure_object(Context).choose(cmd_name, ctx.meta.get("mm.model"))
        ctx.meta["mm.chosen"] = choice.declared.name
        return self.build(cmd_name, choice)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Look for `--model` before parsing, because the model decides which options there are."""
        for index, word in enumerate(args):
            if word == "--":
                break
            if word == "--model" and index + 1 < len(args):
                ctx.meta["mm.model"] = args[index + 1]
            elif word.startswith("--model="):
                ctx.meta["mm.model"] = word.partition("=")[2]
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
