"""What every group of commands does: its help without arguments, and no option twice."""

from __future__ import annotations

from typing import Any

import click

from orchestrator.cli.terminal import closing, write_result
from orchestrator.errors import UsageError


class Group(click.Group):
    """A group that prints its help where it is named alone, and checks its commands' options."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the group's own options; without any argument, print the help and exit with 0."""
        if not args and not ctx.resilient_parsing:
            write_result(f"{ctx.get_help()}\n")
            ctx.exit()
        return super().parse_args(ctx, args)

    @closing()
    def make_context(self, *args: Any, **keywords: Any) -> click.Context:
        """Return the context as click does; an output that was closed is no error of click's."""
        return super().make_context(*args, **keywords)

    @closing()
    def invoke(self, ctx: click.Context) -> Any:
        """Run the command as click does; an output that was closed is no error of click's."""
        return super().invoke(ctx)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, and refuse an option that is given twice for one value.

        Raises:
            UsageError: When click would keep the last value without a word.
        """
        name, command, rest = super().resolve_command(ctx, args)
        if command is not None and not ctx.resilient_parsing:
            _refuse_repeated(click.Context(command, parent=ctx, info_name=name), rest)
        return name, command, rest


def _refuse_repeated(ctx: click.Context, args: list[str]) -> None:
    try:
        # A parser of its own: what click hands on has only the last value of each.
        _, _, order = ctx.command.make_parser(ctx).parse_args(args=list(args))
    except click.UsageError:
        return  # the command itself says it
    seen: set[int] = set()
    for parameter in order:
        if not isinstance(parameter, click.Option) or parameter.multiple or parameter.count:
            continue
        switch = parameter.is_flag and not parameter.secondary_opts
        if id(parameter) in seen and not switch:
            raise UsageError(
                f"{parameter.opts[-1]} is given twice", fix="it takes one value; name it once"
            )
        seen.add(id(parameter))
