"""`mm env lock`, `mm env why` and `mm env tree`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.columns import columns
from orchestrator.cli.context import Context, pass_context
from orchestrator.cli.path_type import GivenPath
from orchestrator.errors import EnvironmentFailure, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.backends.resolver import Resolver
    from orchestrator.catalog import Declared
    from orchestrator.locking.compatibility import LockFinding
    from orchestrator.locking.lock_writer import LockOptions, Written


def _resolver(context: Context) -> Resolver:
    from orchestrator.backends.indexes import read_settings
    from orchestrator.backends.resolver import Resolver

    return Resolver(context.variables, read_settings(context.variables), context.reporter)


@click.command("lock")
@click.argument("models", nargs=-1)
@click.option("--upgrade", is_flag=True, help="Take the newest versions that fit.")
@click.option(
    "--upgrade-package", "-P", multiple=True, metavar="PACKAGE", help="Take the newest of PACKAGE."
)
@click.option("--check", is_flag=True, help="Check that every platform and Python has its wheels.")
@click.option("--mine", is_flag=True, help="Make a lock of your own, for this machine.")
@click.option("--drop", is_flag=True, help="With --mine: go back to the committed lock.")
@click.option("--torch", default="", metavar="BACKEND", help="With --mine: cpu, cu126, …, auto.")
@click.option(
    "--find-links",
    multiple=True,
    type=GivenPath(),
    metavar="DIR|URL",
    help="With --mine: more wheels; '$NAME' for what a variable holds.",
)
@click.option(
    "--index",
    multiple=True,
    type=GivenPath(),
    metavar="URL",
    help="With --mine: asked first; likewise.",
)
@click.option("--override", multiple=True, metavar="REQUIREMENT", help="With --mine.")
@click.option(
    "--python",
    type=GivenPath(),
    metavar="PYTHON",
    help="With --mine: a path, a command or a version.",
)
@pass_context
def lock(context: Context, /, models: tuple[str, ...], **options: Any) -> None:
    """Resolve the dependencies of MODELS (of all, when none is named) into locks with hashes.

    A lock of your own (--mine) lies in MM_HOME; sync and run use it until it is dropped.
    """
    from orchestrator.cli.env.choosing import lockable, named, one_per_lock
    from orchestrator.locking.lock_writer import LockOptions, write_lock

    _refuse_strays(options)
    resolver = _resolver(context)
    if models:
        chosen = named(context.catalog, models)
    elif options["mine"]:
        raise UsageError("--mine needs the name of a model", fix="write: mm env lock --mine MODEL")
    elif options["check"]:
        chosen = list(context.catalog.models.values())
    else:
        chosen = lockable(context.catalog)
    if options["check"]:
        _check(context, resolver, one_per_lock(chosen))
        return
    locks = LockOptions(upgrade=options["upgrade"], upgrade_packages=options["upgrade_package"])
    for declared in one_per_lock(chosen):
        if options["mine"]:
            _mine(context, resolver, declared, locks, options)
        else:
            written = write_lock(resolver, declared, declared.lock, locks)
            _say_changes(context, written)
            context.say(f"{declared.lock}: {'written' if written.changed else 'unchanged'}")


def _say_changes(context: Context, written: Written) -> None:
    for line in written.changes:
        context.say(f"  {line}")


def _refuse_strays(options: dict[str, Any]) -> None:
    if options["mine"] and options["check"]:
        raise UsageError("--check is for committed locks", fix="leave out --mine")
    for name in ("drop", "torch", "find_links", "index", "override", "python"):
        if options[name] and not options["mine"]:
            option = "--" + name.replace("_", "-")
            raise UsageError(
                f"{option} is for a lock of your own",
                fix=f"write: mm env lock --mine MODEL {option} …",
            )


def _mine(
    context: Context,
    resolver: Resolver,
    declared: Declared,
    locks: LockOptions,
    options: dict[str, Any],
) -> None:
    from dataclasses import replace

    from orchestrator.environments.locks import UserLockOptions, absolute_places
    from orchestrator.environments.targets import Targets
    from orchestrator.locking.lock_writer import write_lock

    targets = Targets(context.home, context.variables, options["python"])
    target = targets.user_lock(declared)
    if options["drop"]:
        there = target.is_file()
        target.unlink(missing_ok=True)
        context.say(f"{declared.name} uses its committed lock{'' if there else ' already'}")
        return
    interpreter = targets.interpreter_for(declared)
    user = UserLockOptions(
        torch=options["torch"],
        find_links=absolute_places(options["find_links"], context.cwd),
        indexes=absolute_places(options["index"], context.cwd),
        overrides=options["override"],
        python=interpreter.markers["python_version"],
    )
    context.home.prepare()
    own = replace(resolver, python=interpreter.path)
    written = write_lock(own, declared, target, replace(locks, user=user))
    _say_changes(context, written)
    state = "written" if written.changed else "unchanged"
    context.say(
        f"{target}: {state}; sync and run use it until you say: "
        f"mm env lock --mine --drop {declared.name}"
    )


def _check(context: Context, resolver: Resolver, models: Sequence[Declared]) -> None:
    from orchestrator.locking.compatibility import check_lock

    findings = [found for declared in models if (found := check_lock(resolver, declared))]
    _print(context, findings)
    broken = {finding.model for finding in findings}
    for declared in models:
        if declared.name not in broken:
            context.say(f"{declared.name}: the lock fits its manifest and installs everywhere")
    if broken:
        raise EnvironmentFailure(
            f"the locks of {', '.join(sorted(broken))} do not install everywhere",
            fix=f"correct what is listed above, then run: mm env lock {' '.join(sorted(broken))}",
        )


def _print(context: Context, findings: Sequence[LockFinding]) -> None:
    for finding in findings:
        if finding.detail:
            context.say(finding.detail)
        if finding.problem:
            context.out(f"{finding.model}: {finding.problem}")
    rows = [(finding.model, *row) for finding in findings for row in finding.missing]
    if rows:
        for line in columns([("MODEL", "PACKAGE", "VERSION", "NO WHEEL FOR"), *rows]):
            context.out(line)
    for finding in findings:
        if finding.fix:
            context.out(f"{finding.model}: lock it anew, or write {finding.fix} in its manifest")


@click.command("why")
@click.argument("first")
@click.argument("second")
@pass_context
def why(context: Context, first: str, second: str) -> None:
    """Say what keeps the environments of two models apart, and whether one lock could hold both."""
    from orchestrator.locking.compatibility import compare

    targets = [context.environments.target(context.catalog.model(name)) for name in (first, second)]
    found = compare(_resolver(context), *targets)
    if found.shared:
        context.out(f"{first} and {second} share one environment")
        return
    if found.conflict:
        context.out(f"no environment can hold both {first} and {second}:")
        context.out(found.conflict.strip())
    else:
        context.out(f"one lock could hold both {first} and {second}")
    if found.differences:
        context.out("\ntheir locks differ in:")
    for difference in found.differences:
        context.out(f"  {difference.name}")
        for name, chain in ((first, difference.first), (second, difference.second)):
            arrows = " -> ".join(f"{pin.name} {pin.version}" for pin in chain)
            context.out(f"    {name}: {arrows}")
    for name, only in zip((first, second), found.only, strict=True):
        if only:
            context.out(f"only in {name}: {', '.join(only)}")


@click.command("tree")
@click.argument("model")
@pass_context
def tree(context: Context, model: str) -> None:
    """Show who asks for which package of MODEL, from its lock; (*) marks what stands above."""
    from orchestrator.core import requirement_tree

    target = context.environments.target(context.catalog.model(model))
    context.out(f"{model} (Python {target.interpreter.version})")
    for branch in requirement_tree.tree(target.pins):
        mark = " (*)" if branch.seen else ""
        context.out(f"{'  ' * (branch.depth + 1)}{branch.pin.name} {branch.pin.version}{mark}")
