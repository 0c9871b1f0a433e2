"""`mm env wheel`: packages that are on no index."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orchestrator.cli.context import Context, pass_context
from orchestrator.cli.path_type import GivenPath
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.catalog import Declared


@click.command("wheel")
@click.argument("requirement", type=GivenPath())
@click.argument("model", required=False)
@click.option(
    "--python", type=GivenPath(), metavar="PYTHON", help="A path, a command or a version."
)
@pass_context
def wheel(context: Context, requirement: str, model: str | None, python: str | None) -> None:
    """Put the wheel of a package that is on no index beside the lock of MODEL.

    REQUIREMENT is a directory with a pyproject.toml, a wheel, or git+https://HOST/REPO@COMMIT.
    A directory and a commit are built first, which runs their code. Without MODEL: the only one
    that is your own.
    """
    from orchestrator.backends.indexes import read_settings
    from orchestrator.environments.targets import Targets
    from orchestrator.locking.wheel_builder import WheelBuilder

    declared = context.catalog.model(model) if model else _only_model(context)
    targets = Targets(context.home, context.variables, python)
    context.home.prepare()
    builder = WheelBuilder(
        declared,
        context.variables,
        read_settings(context.variables),
        context.reporter,
        context.home.logs / f"wheel-{declared.manifest.env}.log",
        lambda: targets.interpreter_for(declared).path,
    )
    kept = builder.add(requirement, context.cwd)
    context.out(str(kept.path))
    context.say(
        "; ".join(filter(None, (f"{kept.path.name}: {kept.state}", _next(declared, kept.path))))
    )


def _only_model(context: Context) -> Declared:
    """Return the model that is meant where none is named.

    Raises:
        UsageError: When there are none or several that did not come with `mm`.
    """
    from orchestrator.catalog import Origin
    from orchestrator.cli.env.choosing import one_per_lock

    own = (one for one in context.catalog.models.values() if one.origin is not Origin.BUILT_IN)
    models = one_per_lock(own)
    if len(models) != 1:
        names = ", ".join(one.name for one in models)
        raise UsageError(
            f"there are several models: {names}" if models else "there is no model of your own",
            fix="name the model that needs the wheel: mm env wheel REQUIREMENT MODEL",
        )
    return models[0]


def _next(declared: Declared, path: Path) -> str:
    """Return what is to be done so that the model gets the wheel; empty where it has it."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name, parse_wheel_filename

    from orchestrator.catalog.own_wheels import own_wheels
    from orchestrator.locking.lock_writer import present_pins
    from orchestrator.system.files import read_text

    lock = read_text(declared.lock, "replace") if declared.lock.is_file() else ""
    if path.name in own_wheels(path.parent, present_pins(lock)):
        return ""
    name, version, *_ = parse_wheel_filename(path.name)
    asked = map(Requirement, declared.manifest.environment.dependencies)
    command = f"run: mm env lock {declared.name}"
    if any(canonicalize_name(one.name) == name and version in one.specifier for one in asked):
        return command
    return f"write {name}=={version} into the dependencies in {declared.shown}, then {command}"
