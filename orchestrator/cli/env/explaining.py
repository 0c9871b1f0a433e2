"""`mm env why` and `mm env tree`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orchestrator.cli.context import Context, pass_context

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orchestrator.core.lockfile import Pin


@click.command("why")
@click.argument("first")
@click.argument("second")
@pass_context
def why_command(context: Context, first: str, second: str) -> None:
    """Say what keeps the environments of two models apart, and whether one lock could hold both."""
    from orchestrator.backends.indexes import read_settings
    from orchestrator.environments.resolver import Resolver
    from orchestrator.environments.why import why

    environments = context.environments
    targets = [environments.target(context.catalog.model(name)) for name in (first, second)]
    resolver = Resolver(context.variables, read_settings(context.variables), context.reporter)
    answer = why(resolver, *targets)
    if answer.shared:
        context.out(f"{first} and {second} share one environment")
        return
    if answer.together:
        context.out(f"one lock could hold both {first} and {second}")
    else:
        context.out(f"no environment can hold both {first} and {second}:")
        context.out(answer.words.strip())
    if answer.differences:
        context.out("\ntheir locks differ in:")
    for found in answer.differences:
        context.out(f"  {found.name}")
        context.out(f"    {first}: {arrows(found.first)}")
        context.out(f"    {second}: {arrows(found.second)}")
    for name, only in zip((first, second), answer.only, strict=True):
        if only:
            context.out(f"only in {name}: {', '.join(only)}")


def arrows(chain: Iterable[Pin]) -> str:
    """Return a chain of requirements on one line."""
    return " -> ".join(f"{pin.name} {pin.version}" for pin in chain)


@click.command("tree")
@click.argument("model")
@pass_context
def tree_command(context: Context, model: str) -> None:
    """Show who asks for which package of MODEL, from its lock; (*) marks what stands above."""
    from orchestrator.core.requirement_tree import tree

    target = context.environments.target(context.catalog.model(model))
    context.out(f"{model} (Python {target.interpreter.version})")
    for branch in tree(target.pins):
        mark = " (*)" if branch.seen else ""
        context.out(f"{'  ' * (branch.depth + 1)}{branch.pin.name} {branch.pin.version}{mark}")
