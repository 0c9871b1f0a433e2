"""What to say where packages lack wheels: which, where, and what to write in the manifest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.core.platforms import PLATFORMS, allowed_minors, specifier_of
from orchestrator.core.wheels import describe_places, narrowed
from orchestrator.errors import EnvironmentFailure

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from orchestrator.catalog import Declared
    from orchestrator.core.manifest import Environment
    from orchestrator.core.wheels import Missing


def table(environment: Environment, missing: Iterable[Missing]) -> list[tuple[str, str, str]]:
    """Return a row for each package: its name, its version, and where it has no wheel."""
    platforms = environment.platforms or tuple(PLATFORMS)
    minors = allowed_minors(environment.python)
    return [
        (pin.name, pin.version, "source only" if bare else describe_places(at, platforms, minors))
        for pin, at, bare in missing
    ]


def lines_without(environment: Environment, missing: Sequence[Missing]) -> str:
    """Return the lines of `environment` that leave out where `missing` packages have no wheel.

    Those that come as source alone may be built; the others narrow the platforms and Pythons.
    """
    built = {one.pin.name for one in missing if one.source_only}
    absent = {place for one in missing if not one.source_only for place in one.places}
    lines = []
    if built:
        lines.append(f"build: [{', '.join(sorted({*environment.build, *built}))}]")
    if absent:
        platforms = environment.platforms or tuple(PLATFORMS)
        minors = allowed_minors(environment.python)
        kept = narrowed(absent, platforms, minors)
        if kept is None:
            return ""
        if kept[1] != minors:
            lines.append(f'python: "{specifier_of(kept[1], environment.python)}"')
        if kept[0] != platforms:
            lines.append(f"platforms: [{', '.join(kept[0])}]")
    return " and ".join(lines)


def wheels_failure(declared: Declared, missing: Sequence[Missing]) -> EnvironmentFailure:
    """Return the error for a resolution whose packages lack wheels that nothing older has."""
    environment = declared.manifest.environment
    rows = table(environment, missing)
    lines = lines_without(environment, missing)
    command = f"then run: mm env lock {declared.name}"
    if len(rows) == 1:
        what = "{} {} has no wheel for {}, and no other version fits".format(*rows[0])
    else:
        names = ", ".join(f"{name} {version}" for name, version, _ in rows)
        what = f"{len(rows)} packages lack wheels, and no other versions fit: {names}"
    return EnvironmentFailure(
        what,
        where=declared.shown,
        fix=f"write {lines}, {command}" if lines else f"ask for other versions, {command}",
        detail="\n".join(f"{row[0]} {row[1]} has no wheel for {row[2]}" for row in rows),
    )


def source_failure(declared: Declared, names: Sequence[str], detail: str) -> EnvironmentFailure:
    """Return the error for packages that come as source alone."""
    build = ", ".join(sorted({*declared.manifest.environment.build, *names}))
    return EnvironmentFailure(
        f"{', '.join(sorted(names))} come as source alone, and nothing is built that "
        "environment.build does not name",
        where=declared.shown,
        fix=f"write build: [{build}], then run: mm env lock {declared.name}",
        detail=detail,
    )
