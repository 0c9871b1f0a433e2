"""`mm env lock`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orchestrator.cli.context import Context, pass_context

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.catalog import Declared
    from orchestrator.environments.resolve import Resolver


@click.command("lock")
@click.argument("models", nargs=-1)
@click.option("--upgrade", is_flag=True, help="Take the newest versions that fit.")
@click.option(
    "--upgrade-package", "-P", multiple=True, metavar="PACKAGE", help="Take the newest of PACKAGE."
)
@click.option("--check", is_flag=True, help="Prove that every platform and Python has its wheels.")
@pass_context
def lock_command(
    context: Context,
    models: tuple[str, ...],
    *,
    upgrade: bool,
    upgrade_package: tuple[str, ...],
    check: bool,
) -> None:
    """Resolve the dependencies of MODELS (of all, when none is named) into locks with hashes."""
    from orchestrator.backends.indexes import read_settings
    from orchestrator.cli.env.choosing import lockable, named, one_per_lock
    from orchestrator.environments.resolve import LockOptions, Resolver

    chosen = named(context.catalog, models) if models else lockable(context.catalog)
    if check and not models:
        chosen = list(context.catalog.models.values())
    resolver = Resolver(context.variables, read_settings(context.variables), context.reporter)
    if check:
        _check(context, resolver, one_per_lock(chosen))
        return
    options = LockOptions(upgrade=upgrade, upgrade_packages=upgrade_package)
    for declared in one_per_lock(chosen):
        changed = resolver.lock(declared, declared.lock, options)
        context.say(f"{declared.lock}: {'written' if changed else 'unchanged'}")


def _check(context: Context, resolver: Resolver, models: Sequence[Declared]) -> None:
    from orchestrator.errors import EnvironmentFailure

    findings = [finding for declared in models for finding in resolver.check(declared)]
    for finding in findings:
        if finding.detail:
            context.say(finding.detail)
        place = f" ({finding.place})" if finding.place else ""
        context.out(f"{finding.model}{place}: {finding.problem}")
    if findings:
        broken = sorted({finding.model for finding in findings})
        raise EnvironmentFailure(
            f"{len(findings)} findings in the locks of {', '.join(broken)}",
            fix="pin versions that every platform has, then run: mm env lock",
        )
    for declared in models:
        context.say(f"{declared.name}: the lock fits its manifest and installs everywhere")
